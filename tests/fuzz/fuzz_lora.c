/* The first line as a prompt, the rest as a LoRA file: names and strengths, keys of any program,
 * and what each module would add to a small matrix and to a small kernel. */
#include "core/mem.h"
#include "nn/weights_int.h"
#include "sampler/lora/lora_int.h"
#include "sampler/prompt.h"
#include "sampler/shelf.h"
#include "tests/fuzz/message.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_names(const char *prompt)
{
    struct shelf_item items[] = {{(char *)(uintptr_t) "d/ink.pt", (char *)(uintptr_t) "ink"},
                                 {(char *)(uintptr_t) "d/a/oil.pt", (char *)(uintptr_t) "a/oil"}};
    const struct shelf shelf = {.dir = (char *)(uintptr_t) "d", .item = items, .n = 2};
    struct prompt_list found = {0};
    char *rest = NULL;
    if (prompt_networks(&found, &rest, prompt, NULL) != ST_OK)
        return;
    for (size_t i = 0; i < found.n; i++) {
        struct lora_use u = {0};
        struct error err = {ST_OK, ""};
        char *name = NULL;
        const char *path;
        if (lora_use_read(&u, &name, found.item[i].text, &err))
            fuzz_message(&err, true);
        else if (shelf_find(&shelf, name, "LoRA", &path, &err))
            fuzz_message(&err, true);
        mem_free(u.text);
        mem_free(name);
    }
    prompt_list_release(&found);
    mem_free(rest);
}

static void read_modules(const struct lora_file *f, struct backend *be)
{
    static const struct lora_target to[] = {{8, 6, 1}, {4, 2, 3}};
    float y[72];
    struct arena arena = {.limit = 64 << 20};
    for (int i = 0; i < f->n; i++)
        for (size_t k = 0; k < 2; k++) {
            struct error err = {ST_OK, ""};
            struct clip_run r = {.be = be, .arena = &arena, .err = &err};
            if (lora_delta(&r, f, &f->module[i], &to[k], y))
                fuzz_message(&err, true);
            if (lora_file_find(f, f->module[i].name) != &f->module[i])
                abort();
            arena_rewind(&arena, 0);
        }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t n = line ? (size_t)(line - data) : size;
    char *prompt = mem_strndup((const char *)data, n);
    struct weights *w;
    struct error err = {ST_OK, ""};
    struct lora_file f = {0};
    struct backend *be = NULL;
    if (prompt)
        read_names(prompt);
    mem_free(prompt);
    if (!line || weights_open_memory(&w, line + 1, size - n - 1, "fuzz.safetensors", &err))
        return 0;
    if (lora_file_read(&f, w, &err))
        fuzz_message(&err, true);
    else if (backend_open(&be, "cpu", 1, &err) == ST_OK)
        read_modules(&f, be);
    backend_close(be);
    lora_file_close(&f);
    return 0;
}

FUZZ_STRUCTURE(grammar_lora)
