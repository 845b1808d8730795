/* A prompt through every stage: networks, AND, scheduling, weights. */
#include "core/mem.h"
#include "sampler/prompt.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_strndup((const char *)data, size), *rest = NULL;
    struct prompt_list networks = {0}, parts = {0}, times = {0}, words = {0};
    if (text && prompt_networks(&networks, &rest, text, NULL) == ST_OK &&
        prompt_split_and(&parts, rest, NULL) == ST_OK &&
        prompt_schedule(&times, parts.item[0].text, 4, NULL) == ST_OK) {
        if (times.item[times.n - 1].end_step != 4)
            __builtin_trap();
        for (size_t i = 0; i < times.n; i++) {
            if (prompt_attention(&words, times.item[i].text, NULL) != ST_OK || words.n == 0)
                __builtin_trap();
            prompt_list_release(&words);
        }
    }
    prompt_list_release(&networks);
    prompt_list_release(&parts);
    prompt_list_release(&times);
    mem_free(rest);
    mem_free(text);
    return 0;
}
