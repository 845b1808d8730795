/* Tags out of words. The vocabulary is gone through once a place: some thousand labels, a prompt's
 * hundred words, once a picture. */
#include "app/prompt_tags.h"
#include "core/mem.h"
#include <string.h>
#include <strings.h>

enum { WORDS_MOST = 4, BYTES_MOST = 64 };

static bool is_end(char c)
{
    return !c || strchr(" ,;:.!?()[]{}\"\n\t", c) != NULL;
}

static enum status add(struct prompt_tags *t, const char *s, size_t n, struct error *err)
{
    if (t->n == PROMPT_TAGS_MOST || !n)
        return ST_OK;
    for (size_t i = 0; i < t->n; i++)
        if (strlen(t->text[i]) == n && strncasecmp(t->text[i], s, n) == 0)
            return ST_OK;
    char *copy = mem_strndup(s, n);
    if (!copy)
        return error_set(err, ST_NOMEM, "out of memory for tags");
    t->text[t->n] = copy;
    t->tag[t->n++] = (struct db_tag){copy, 1};
    return ST_OK;
}

/* How far into s the label reaches, or 0: whole words, an s behind them left out. */
static size_t label_at(const char *s, const char *label)
{
    size_t n = strlen(label);
    if (strncasecmp(s, label, n) != 0)
        return 0;
    if (is_end(s[n]))
        return n;
    return (s[n] == 's' || s[n] == 'S') && is_end(s[n + 1]) ? n + 1 : 0;
}

static enum status add_labels(struct prompt_tags *t, const char *part, const struct lexicon *v,
                              struct error *err)
{
    enum status st = ST_OK;
    for (const char *s = part; *s && !st;) {
        size_t best = 0, which = 0, k;
        for (size_t i = 0; i < v->n; i++)
            if ((k = label_at(s, v->term[i].text)) > best) {
                best = k;
                which = i;
            }
        if (best)
            st = add(t, v->term[which].text, strlen(v->term[which].text), err);
        s += best;
        while (*s && !is_end(*s))
            s++;
        while (*s && is_end(*s))
            s++;
    }
    return st;
}

/* Without an article, if it is short enough for a tag. */
static enum status add_part(struct prompt_tags *t, const char *part, struct error *err)
{
    static const char *const articles[] = {"a ", "an ", "the "};
    size_t words = 1;
    for (size_t i = 0; i < 3; i++)
        if (strncasecmp(part, articles[i], strlen(articles[i])) == 0) {
            part += strlen(articles[i]);
            break;
        }
    for (const char *s = part; *s; s++)
        words += *s == ' ';
    return words <= WORDS_MOST && strlen(part) <= BYTES_MOST ? add(t, part, strlen(part), err)
                                                             : ST_OK;
}

/* [s, s + n) with single blanks for blanks, line ends and underscores. */
static char *plain(const char *s, size_t n)
{
    char *out = mem_strndup(s, n), *to = out;
    if (!out)
        return NULL;
    for (const char *p = out; *p; p++) {
        char c = *p == '_' || (unsigned char)*p < 0x20 ? ' ' : *p;
        if (c != ' ' || (to > out && to[-1] != ' '))
            *to++ = c;
    }
    while (to > out && strchr(" .", to[-1]))
        to--;
    *to = 0;
    return out;
}

enum status prompt_tags_find(struct prompt_tags *t, const char *words, const struct lexicon *v,
                             struct error *err)
{
    enum status st = ST_OK;
    *t = (struct prompt_tags){0};
    for (const char *s = words; *s && !st;) {
        size_t n = strcspn(s, ",;\n");
        char *part = plain(s, n);
        if (!part)
            st = error_set(err, ST_NOMEM, "out of memory for tags");
        if (!st)
            st = add_part(t, part, err);
        if (!st)
            st = add_labels(t, part, v, err);
        mem_free(part);
        s += n + (s[n] != 0);
    }
    if (st)
        prompt_tags_release(t);
    return st;
}

void prompt_tags_release(struct prompt_tags *t)
{
    for (size_t i = 0; i < t->n; i++)
        mem_free(t->text[i]);
    *t = (struct prompt_tags){0};
}
