/* Weights, AND, BREAK and <networks> of a prompt; scheduling is prompt_schedule.c. */
#include "sampler/prompt.h"
#include "core/buf.h"
#include "core/mem.h"
#include "sampler/prompt_int.h"
#include <stdlib.h>
#include <string.h>

void prompt_list_release(struct prompt_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        mem_free(l->item[i].text);
    mem_free(l->item);
    *l = (struct prompt_list){0};
}

struct prompt_item *prompt_list_add(struct prompt_list *l, const char *text, size_t len)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 8;
        struct prompt_item *p = mem_realloc_array(l->item, cap, sizeof *p);
        if (!p)
            return NULL;
        l->item = p;
        l->cap = cap;
    }
    char *copy = mem_strndup(text, len);
    if (!copy)
        return NULL;
    l->item[l->n] = (struct prompt_item){.text = copy, .weight = 1};
    return &l->item[l->n++];
}

enum status prompt_no_memory(struct prompt_list *l, struct error *err)
{
    prompt_list_release(l);
    return error_set(err, ST_NOMEM, "out of memory (prompt)");
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

/* Part of a word; bytes beyond ASCII are taken for letters. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (c & 0x80);
}

/* The next `word` at or behind p that stands alone; NULL when there is none before end. */
static const char *find_word(const char *start, const char *p, const char *end, const char *word)
{
    size_t len = strlen(word);
    for (; p + len <= end; p++)
        if (memcmp(p, word, len) == 0 && (p == start || !is_word(p[-1])) &&
            (p + len == end || !is_word(p[len])))
            return p;
    return NULL;
}

/* "12", "1.", ".5", "0.5" with or without a sign: the number that [p, end) is, whole. */
static bool is_weight(const char *p, const char *end, double *value)
{
    const char *start = p;
    size_t digits = 0, dots = 0;
    if (p < end && (*p == '+' || *p == '-'))
        p++;
    for (; p < end; p++) {
        if (*p == '.')
            dots++;
        else if (*p >= '0' && *p <= '9')
            digits++;
        else
            return false;
    }
    char text[64];
    size_t len = (size_t)(end - start);
    if (!digits || dots > 1 || len >= sizeof text)
        return false;
    memcpy(text, start, len);
    text[len] = '\0';
    *value = strtod(text, NULL);
    return true;
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

static const char *trim_end(const char *p, const char *end)
{
    while (end > p && is_space(end[-1]))
        end--;
    return end;
}

/* One prompt between ANDs: a weight behind the last ':', white space at the end gone. */
static bool add_part(struct prompt_list *out, const char *p, const char *end)
{
    double weight = 1;
    end = trim_end(p, end);
    const char *colon = end;
    while (colon > p && colon[-1] != ':')
        colon--;
    if (colon > p && is_weight(skip_space(colon, end), end, &weight))
        end = trim_end(p, colon - 1);
    struct prompt_item *item = prompt_list_add(out, p, (size_t)(end - p));
    if (item)
        item->weight = weight;
    return item;
}

enum status prompt_split_and(struct prompt_list *out, const char *text, struct error *err)
{
    const char *p = text, *end = text + strlen(text), *at;
    do {
        at = find_word(text, p, end, "AND");
        if (!add_part(out, p, at ? at : end))
            return prompt_no_memory(out, err);
        p = at ? at + 3 : end;
    } while (at);
    return ST_OK;
}

/* Where open brackets of one kind began, as indices of items. */
struct brackets {
    size_t *at, n, cap;
};

static bool brackets_push(struct brackets *b, size_t at)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 16;
        size_t *p = mem_realloc_array(b->at, cap, sizeof *p);
        if (!p)
            return false;
        b->at = p;
        b->cap = cap;
    }
    b->at[b->n++] = at;
    return true;
}

static void multiply(struct prompt_list *l, size_t from, double by)
{
    for (; from < l->n; from++)
        l->item[from].weight *= by;
}

/* Text between brackets, with its BREAKs: white space around one belongs to it. */
static bool add_text(struct prompt_list *out, const char *p, const char *end)
{
    const char *start = p, *at;
    while ((at = find_word(start, p, end, "BREAK"))) {
        const char *before = trim_end(p, at);
        if (!prompt_list_add(out, p, (size_t)(before - p)))
            return false;
        struct prompt_item *item = prompt_list_add(out, "BREAK", 5);
        if (!item)
            return false;
        item->weight = -1;
        p = skip_space(at + 5, end);
    }
    return prompt_list_add(out, p, (size_t)(end - p));
}

/* ":1.3)" at p: its end and value; NULL when it is something else. */
static const char *closing_weight(const char *p, double *value)
{
    const char *end = p + strlen(p), *number = skip_space(p + 1, end), *q = number;
    while (q < end && strchr("+-.0123456789", *q))
        q++;
    const char *close = skip_space(q, end);
    return close < end && *close == ')' && is_weight(number, q, value) ? close + 1 : NULL;
}

/* Neighbours of the same weight become one. */
static bool merge(struct prompt_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n;) {
        struct buf b;
        buf_init(&b, SIZE_MAX);
        size_t from = i;
        for (; i < l->n && l->item[i].weight == l->item[from].weight; i++) {
            buf_puts(&b, l->item[i].text);
            mem_free(l->item[i].text);
            l->item[i].text = NULL;
        }
        struct prompt_item item = {.weight = l->item[from].weight, .text = buf_take(&b)};
        item.is_break = item.weight == -1 && item.text && strcmp(item.text, "BREAK") == 0;
        if (!item.text)
            return false;
        l->item[kept++] = item;
    }
    l->n = kept;
    return true;
}

/* One token of the text; returns behind it, NULL without memory. */
static const char *read_token(struct prompt_list *out, struct brackets *round,
                              struct brackets *square, const char *p)
{
    double weight;
    const char *after = *p == ':' ? closing_weight(p, &weight) : NULL;
    if (*p == '\\') {
        size_t len = p[1] && strchr("()[]\\", p[1]) ? 1 : 0;
        return prompt_list_add(out, p + 1, len) ? p + 1 + len : NULL;
    }
    if (*p == '(' || *p == '[')
        return brackets_push(*p == '(' ? round : square, out->n) ? p + 1 : NULL;
    if (after && round->n) {
        multiply(out, round->at[--round->n], weight);
        return after;
    }
    if (*p == ')' && round->n) {
        multiply(out, round->at[--round->n], 1.1);
        return p + 1;
    }
    if (*p == ']' && square->n) {
        multiply(out, square->at[--square->n], 1 / 1.1);
        return p + 1;
    }
    if (!after)
        after = p + (strchr(":)]", *p) ? 1 : strcspn(p, "\\()[]:"));
    return add_text(out, p, after) ? after : NULL;
}

enum status prompt_attention(struct prompt_list *out, const char *text, struct error *err)
{
    struct brackets round = {0}, square = {0};
    const char *p = text;
    while (p && *p)
        p = read_token(out, &round, &square, p);
    for (size_t i = 0; i < round.n; i++)
        multiply(out, round.at[i], 1.1);
    for (size_t i = 0; i < square.n; i++)
        multiply(out, square.at[i], 1 / 1.1);
    mem_free(round.at);
    mem_free(square.at);
    if (!p || (out->n == 0 && !prompt_list_add(out, "", 0)) || !merge(out))
        return prompt_no_memory(out, err);
    return ST_OK;
}

enum status prompt_networks(struct prompt_list *out, char **rest, const char *text,
                            struct error *err)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    bool fine = true;
    for (const char *p = text; *p && fine;) {
        const char *q = p + 1;
        while (*p == '<' && is_word(*q))
            q++;
        size_t args = *p == '<' && q > p + 1 && *q == ':' ? strcspn(q + 1, ">") : 0;
        if (args > 0 && q[1 + args] == '>') {
            fine = prompt_list_add(out, p + 1, (size_t)(q - p) + args);
            p = q + args + 2;
        } else {
            fine = buf_putc(&b, *p++);
        }
    }
    *rest = buf_take(&b);
    if (fine && *rest)
        return ST_OK;
    mem_free(*rest);
    *rest = NULL;
    return prompt_no_memory(out, err);
}
