/* SentencePiece's normaliser and its unigram model (Kudo 2018: the split of the highest sum of
 * scores, by dynamic programming over byte positions). Surprising: the reference library
 * adds scores in float, the tokenizers library in double; near ties fall differently. */
#include "clip/spm.h"
#include "core/mem.h"
#include "core/path.h"
#include <utf8proc.h>

#define UNKNOWN_PENALTY 10.0
#define SPACE "\xe2\x96\x81" /* U+2581 */

/* The rule for what s begins with; *len bytes of it. The longest, or the shortest as the tokenizers
 * library takes it. NULL: none. */
static const char *find_rule(const struct spm *s, const char *text, size_t n, size_t *len)
{
    const char *found = NULL;
    size_t at = 0;
    if (!s->units)
        return NULL;
    at ^= (s->unit[0] >> 10) << ((s->unit[0] & 1u << 9) >> 6);
    for (size_t i = 0; i < n && text[i]; i++) {
        at ^= (unsigned char)text[i];
        if (at >= s->units || (s->unit[at] & 0x800000FFu) != (unsigned char)text[i])
            break;
        uint32_t unit = s->unit[at];
        at ^= (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
        if (at >= s->units)
            break;
        if (unit >> 8 & 1) {
            uint32_t value = s->unit[at] & 0x7FFFFFFFu;
            if (value >= s->text_size)
                break;
            found = s->text + value; /* ended by a zero byte: the last one is one */
            *len = i + 1;
            if (s->hf)
                break;
        }
    }
    return found;
}

static size_t char_length(const char *s, size_t n)
{
    unsigned char c = (unsigned char)*s;
    size_t len = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    return len < n ? len : n;
}

static size_t user_piece(const struct spm *s, const struct vocab *v, const char *text, size_t n)
{
    for (size_t k = n < s->longest ? n : s->longest; s->user && k > 0; k--) {
        int32_t id = vocab_find(v, text, k);
        if (id >= 0 && (size_t)id < s->n && s->type[id] == SPM_USER)
            return k;
    }
    return 0;
}

/* What stands for the beginning of the text; *used bytes of it. */
static const char *next_part(const struct spm *s, const struct vocab *v, const char *text, size_t n,
                             size_t *used, size_t *len)
{
    size_t own = user_piece(s, v, text, n);
    const char *rule = own ? NULL : find_rule(s, text, n, used);
    if (rule) {
        *len = strlen(rule);
        return rule;
    }
    *used = *len = own ? own : char_length(text, n);
    return text;
}

bool spm_normalize(const struct spm *s, const struct vocab *v, const char *text, size_t n,
                   struct buf *out)
{
    size_t used = 0, len = 0;
    const char *space = s->escape ? SPACE : " ";
    while (s->squeeze && n) {
        const char *p = next_part(s, v, text, n, &used, &len);
        if (len != 1 || *p != ' ')
            break;
        text += used;
        n -= used;
    }
    if (!n)
        return true;
    if (s->prefix && !s->suffix)
        buf_puts(out, space);
    for (bool gap = s->squeeze; n; text += used, n -= used) {
        const char *p = next_part(s, v, text, n, &used, &len);
        while (gap && len && *p == ' ')
            p++, len--;
        for (size_t i = 0; i < len; i++)
            if (p[i] == ' ')
                buf_puts(out, space);
            else
                buf_putc(out, p[i]);
        if (len)
            gap = p[len - 1] == ' ';
        if (!s->squeeze)
            gap = false;
    }
    size_t k = strlen(space);
    while (s->squeeze && out->len >= k && !memcmp(out->data + out->len - k, space, k))
        out->len -= k;
    if (s->prefix && s->suffix)
        buf_puts(out, space);
    return !out->failed;
}

/* text's characters [from, to) as bytes; at most `size`, else 0. */
static size_t encode_range(const struct utext *t, size_t from, size_t to, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        if (n + 4 > size)
            return 0;
        n += utf8_encode(t->c[i], out + n);
    }
    return n;
}

static bool push_text(struct utext *out, const char *s)
{
    size_t n = strlen(s);
    while (n) {
        uint32_t c = 0xFFFD;
        size_t k = utf8_decode(s, n, &c);
        if (!k || !utext_push(out, c))
            return k == 0; /* replacements that are no text end there */
        s += k;
        n -= k;
    }
    return true;
}

bool spm_precompiled(const struct spm *s, struct utext *text)
{
    struct utext out = {0};
    bool ok = utext_reserve(&out, text->n);
    char bytes[32];
    size_t used;
    for (size_t i = 0; ok && i < text->n;) {
        utf8proc_int32_t state = 0;
        size_t end = i + 1;
        while (end < text->n &&
               !utf8proc_grapheme_break_stateful((utf8proc_int32_t)text->c[end - 1],
                                                 (utf8proc_int32_t)text->c[end], &state))
            end++;
        size_t n = end - i <= 5 ? encode_range(text, i, end, bytes, sizeof bytes) : 0;
        const char *rule = n && n < 6 ? find_rule(s, bytes, n, &used) : NULL;
        if (rule) {
            ok = push_text(&out, rule);
            i = end;
            continue;
        }
        for (; ok && i < end; i++) {
            n = utf8_encode(text->c[i], bytes);
            rule = find_rule(s, bytes, n, &used);
            ok = rule ? push_text(&out, rule) : utext_push(&out, text->c[i]);
        }
    }
    utext_release(text);
    *text = out;
    return ok;
}

struct node {
    double sum;
    int32_t id;
    uint32_t from; /* UINT32_MAX: not reached */
};

static void offer(const struct spm *s, struct node *to, double sum, int32_t id, size_t from)
{
    sum = s->hf ? sum : (double)(float)sum;
    if (to->from != UINT32_MAX && !(sum > to->sum))
        return;
    *to = (struct node){sum, id, (uint32_t)from};
}

/* Every piece that begins at text[at]. */
static void offer_pieces(const struct spm *s, const struct vocab *v, const char *text, size_t n,
                         size_t at, struct node *node)
{
    size_t reach = s->reach[(unsigned char)text[at]];
    size_t most = n - at < reach ? n - at : reach, one = char_length(text + at, n - at);
    bool single = false;
    for (size_t k = one; k <= most; k += char_length(text + at + k, n - at - k)) {
        int32_t id = vocab_find(v, text + at, k);
        int type = id >= 0 && (size_t)id < s->n ? s->type[id] : -1;
        if (type == SPM_PLAIN || type == SPM_NORMAL || type == SPM_USER) {
            double score =
                type == SPM_USER ? (double)((float)k * (float)s->most) - 0.1 : s->score[id];
            offer(s, &node[at + k], score + node[at].sum, id, at);
            single |= k == one;
        }
        if (at + k >= n)
            break;
    }
    if (!single) {
        double penalty =
            s->hf ? s->least - UNKNOWN_PENALTY : (double)((float)s->least - (float)UNKNOWN_PENALTY);
        offer(s, &node[at + one], penalty + node[at].sum, s->unk, at);
    }
}

/* Bytes of an unknown piece, where the model has a piece for each. */
static bool push_bytes(const struct vocab *v, const char *s, size_t n, struct token_list *l)
{
    for (size_t i = 0; i < n; i++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned char)s[i]);
        int32_t id = vocab_find(v, name, 6);
        if (id >= 0 && !token_list_push(l, id))
            return false;
    }
    return true;
}

bool spm_split(const struct spm *s, const struct vocab *v, const char *text, size_t n,
               struct token_list *l)
{
    if (!n)
        return true;
    struct node *node = n < UINT32_MAX ? mem_array(n + 1, sizeof *node) : NULL;
    uint32_t *cut = node ? mem_array(n, sizeof *cut) : NULL;
    bool ok = cut != NULL;
    for (size_t i = 0; ok && i <= n; i++)
        node[i] = (struct node){0, 0, UINT32_MAX};
    for (size_t at = 0; ok && at < n; at += char_length(text + at, n - at))
        offer_pieces(s, v, text, n, at, node);
    size_t cuts = 0;
    for (size_t end = n; ok && end > 0; end = node[end].from)
        cut[cuts++] = (uint32_t)end;
    bool unknown = false;
    for (; ok && cuts > 0; cuts--) {
        const struct node *x = &node[cut[cuts - 1]];
        bool is_unknown = x->id == s->unk;
        if (is_unknown && s->bytes)
            ok = push_bytes(v, text + x->from, cut[cuts - 1] - x->from, l);
        else if (!is_unknown || !unknown)
            ok = token_list_push(l, x->id);
        unknown = is_unknown;
    }
    mem_free(cut);
    mem_free(node);
    return ok;
}
