/* Any bytes as the files of a tokenizer's folder: the first byte is the kind, the rest
 * tokenizer.json, tokenizer_config.json and special_tokens_map.json, a zero byte between them. What
 * opens must read any text into ids that it has, and every message must be one printable line. */
#include "clip/tokenizer.h"
#include "core/file.h"
#include "core/path.h"
#include "tests/fuzz/structure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[64];
static const char *const files[] = {"tokenizer.json", "tokenizer_config.json",
                                    "special_tokens_map.json"};

static void remove_folder(void)
{
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void make_folder(void)
{
    if (dir[0])
        return;
    snprintf(dir, sizeof dir, "%s/eidetic-fuzz-%ld",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid());
    if (file_make_dirs(dir, NULL))
        abort();
    atexit(remove_folder);
}

static void write_files(const char *s, size_t n)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[128];
        const char *end = memchr(s, 0, n);
        size_t part = end ? (size_t)(end - s) : n;
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
        FILE *f = part || !i ? fopen(path, "wb") : NULL;
        if (f && (fwrite(s, 1, part, f) != part || fclose(f)))
            abort();
        s += end ? part + 1 : part;
        n -= end ? part + 1 : part;
    }
}

static void use(struct tokenizer *t)
{
    static const char text[] =
        "a  caf\xc3\xa9 dog's <|endoftext|> [MASK] \xe6\xb5\xb7\xff 12 \xf0\x9f\x90\x95";
    struct token_list l = {0};
    int32_t row[16];
    if (!tokenizer_encode(t, text, sizeof text - 1, &l, NULL)) {
        for (size_t i = 0; i < l.n; i++)
            if (!tokenizer_piece(t, l.id[i]))
                abort();
        if (tokenizer_fit(t, &l, 16, row) > 16)
            abort();
    }
    token_list_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tokenizer *t = NULL;
    struct error err = {ST_OK, ""};
    if (!size)
        return 0;
    make_folder();
    write_files((const char *)data + 1, size - 1);
    if (!tokenizer_open(&t, (enum tokenizer_kind)(data[0] % (TOKENIZER_GPT2 + 1)), dir, &err))
        use(t);
    else if (!err.text[0] || err.code == ST_OK)
        abort();
    for (const char *s = err.text; *s; s++)
        if ((unsigned char)*s < 0x20)
            abort();
    tokenizer_close(t);
    return 0;
}

FUZZ_STRUCTURE(grammar_json_files)
