/* Lists of prompts, for the two files that fill them. */
#ifndef EIDETIC_SAMPLER_PROMPT_INT_H
#define EIDETIC_SAMPLER_PROMPT_INT_H

#include "sampler/prompt.h"

/* The new item, with a copy of the text and weight 1; NULL without memory. */
struct prompt_item *prompt_list_add(struct prompt_list *l, const char *text, size_t len);
/* Empties the list and says so. */
enum status prompt_no_memory(struct prompt_list *l, struct error *err);

#endif
