/* AUTOMATIC1111's prompt grammar: what a prompt says at which step, and how strongly.
 *
 *     struct prompt_list parts = {0}, times = {0}, words = {0};
 *     prompt_split_and(&parts, "a (red:1.3) [cat:dog:0.5] AND snow :0.8", &err); // two, 1 and 0.8
 *     prompt_schedule(&times, parts.item[0].text, 20, &err); // till step 10 a cat, till 20 a dog
 *     prompt_attention(&words, times.item[0].text, &err);    // "a " 1, "red" 1.3, " cat" 1
 *     prompt_list_release(&words); ...
 *
 * Rules, in the order in which they apply:
 *     <lora:name:0.8>              taken out of the text: prompt_networks
 *     a AND b:1.2                  prompts of their own, whose guidance is summed with these
 * weights
 *     [from:to:when] [to:when]     the text changes at step `when`; with a '.', a share of the
 * steps
 *     [from::when]                 ... is there until then
 *     [a|b|c]                      another one each step
 *     (a) (a:1.3) [a] \( \) \[ \]  weights 1.1, 1.3, 1/1.1; they multiply; brackets need no partner
 *     BREAK                        a new chunk of 75 tokens
 * Whatever fits no rule is text, as there; a bracket of scheduling that is not closed, or a '|'
 * outside of one, leaves the whole prompt unscheduled. Outcomes equal the original's, recorded by
 * running it (tests/unit/test_prompt.c), apart from white space beyond ASCII, weights that are no
 * numbers ("(a:1.2.3)" is text here, an exception there), groups nested deeper than 200, which are
 * text, and prompts in which brackets or colons that belong to nothing stand behind a group: there
 * a group always counts, while the original's ambiguous grammar sometimes takes it for text. Texts
 * are owned by the lists. */
#ifndef EIDETIC_SAMPLER_PROMPT_H
#define EIDETIC_SAMPLER_PROMPT_H

#include "core/error.h"
#include <stdbool.h>
#include <stddef.h>

struct prompt_item {
    char *text;
    double weight; /* prompt_split_and, prompt_attention */
    int end_step;  /* prompt_schedule: the text holds up to and with this step, from 1 */
    bool is_break; /* prompt_attention: no text but a BREAK */
};

struct prompt_list {
    struct prompt_item *item;
    size_t n, cap;
};
void prompt_list_release(struct prompt_list *l);

/* A list is filled on success and empty on failure (ST_NOMEM); it must be empty before. */
enum status prompt_split_and(struct prompt_list *out, const char *text, struct error *err);
/* The last item ends at `steps`; neighbours may have equal texts. */
enum status prompt_schedule(struct prompt_list *out, const char *text, int steps,
                            struct error *err);
/* Pieces of different weights in order; at least one. */
enum status prompt_attention(struct prompt_list *out, const char *text, struct error *err);
/* out: each "<kind:args>" as "kind:args" in order. *rest: the text without them, for mem_free. */
enum status prompt_networks(struct prompt_list *out, char **rest, const char *text,
                            struct error *err);

#endif
