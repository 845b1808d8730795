/* eidetic tokenize: ids and pieces, and where a long text is cut. */
#include "app/app.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct option_def defs[] = {{0}};

static json_t *piece_of(const struct tokenizer *t, int32_t id)
{
    const char *piece = tokenizer_piece(t, id);
    json_t *j = json_text(piece ? piece : "?");
    return json_is_null(j) ? json_string("") : j;
}

static int print_json(struct app *a, const struct tokenizer *t, const struct token_list *l,
                      size_t context)
{
    json_t *ids = json_array(), *pieces = json_array();
    for (size_t i = 0; i < l->n; i++) {
        json_array_append_new(ids, json_integer(l->id[i]));
        json_array_append_new(pieces, piece_of(t, l->id[i]));
    }
    return app_print_json(a, json_pack("{s:o s:o s:I s:I s:b s:s}", "ids", ids, "pieces", pieces,
                                       "tokens", (json_int_t)l->n, "context", (json_int_t)context,
                                       "cut", l->n > context, "tokenizer", tokenizer_name(t)));
}

static int print_table(struct app *a, const struct tokenizer *t, const struct token_list *l,
                       size_t context)
{
    for (size_t i = 0; i < l->n; i++) {
        struct buf b;
        const char *piece = tokenizer_piece(t, l->id[i]);
        buf_init(&b, 1 << 16);
        buf_text_safe(&b, piece ? piece : "?");
        if (l->n > context && i + 1 == context)
            printf("-- cut here: the model reads %zu tokens, the last one is the end --\n",
                   context);
        printf("%6" PRId32 "  %s\n", l->id[i], b.data ? b.data : "");
        buf_release(&b);
    }
    log_info("%zu tokens of at most %zu", l->n, context);
    return app_check_stdout(a);
}

static char *join_words(const struct option_list *l)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 30);
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            buf_putc(&b, ' ');
        buf_puts(&b, l->item[i].value);
    }
    return buf_take(&b);
}

static int run(struct app *a, int argc, char **argv)
{
    struct token_list l = {0};
    struct clip_opts o = {.no_image = true};
    if (app_begin(a, &cmd_tokenize, defs, NULL, argc, argv) || app_want_args(a, 1, 1 << 20) ||
        app_open_model(a, &o))
        return a->exit;
    const struct tokenizer *t = clip_tokenizer(a->clip);
    size_t context = (size_t)clip_info(a->clip)->context;
    char *text = join_words(&a->rest);
    enum status st = text ? tokenizer_encode(t, text, strlen(text), &l, &a->err)
                          : error_set(&a->err, ST_NOMEM, "out of memory");
    if (st)
        app_fail(a, APP_MODEL);
    else if (a->json)
        print_json(a, t, &l, context);
    else
        print_table(a, t, &l, context);
    token_list_release(&l);
    mem_free(text);
    return a->exit;
}

const struct command cmd_tokenize = {
    "tokenize", "how the model reads a text",
    "usage: eidetic tokenize TEXT\n\n"
    "Token ids and pieces of the text, and where a long one is cut.\n\n"
    "  eidetic tokenize \"a photo of an axolotl\"\n"
    "  eidetic tokenize --json --model ViT-B-32 \"a photo\"",
    run};
