/* Any bytes as the files of a tokenizer's folder: the first byte is the kind, the rest
 * tokenizer.json, tokenizer_config.json and special_tokens_map.json, a zero byte between them. What
 * opens must read any text into ids that it has, and every message must be one printable line. */
#include "clip/tokenizer.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/message.h"
#include "tests/fuzz/structure.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[] = {"tokenizer.json", "tokenizer_config.json",
                                    "special_tokens_map.json"};

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
    fuzz_folder_put_all(files, sizeof files / sizeof *files, (const char *)data + 1, size - 1);
    bool refused = tokenizer_open(&t, (enum tokenizer_kind)(data[0] % (TOKENIZER_GPT2 + 1)),
                                  fuzz_folder(), &err) != ST_OK;
    if (!refused)
        use(t);
    fuzz_message(&err, refused);
    tokenizer_close(t);
    return 0;
}

FUZZ_STRUCTURE(grammar_json_files)
