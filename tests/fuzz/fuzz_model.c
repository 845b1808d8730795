/* Any bytes as what a model's folder says of itself: the first byte is the toy whose weights lie
 * there, the rest its config file and preprocessor_config.json, a zero byte between them. What
 * opens has sizes within bounds, and every message must be one printable line. */
#include "golden/clip_toy.h"
#include "tests/fuzz/folder.h"
#include "tests/fuzz/message.h"
#include "tests/fuzz/structure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *toy, *config;
} kinds[] = {{"hf_quick", "config.json"},
             {"siglip", "config.json"},
             {"siglip2_naflex", "config.json"},
             {"starter", "config.json"},
             {"multilingual", "config.json"},
             {"open_clip_quick", "open_clip_config.json"},
             {"open_clip_eva02", "open_clip_config.json"},
             {"open_clip_roberta", "open_clip_config.json"},
             {"open_clip_siglip2", "open_clip_config.json"},
             {"mobileclip_b", "open_clip_config.json"},
             {"resnet", "open_clip_config.json"}};
#define KINDS (sizeof kinds / sizeof *kinds)

static char *folder[KINDS];

/* Toys are made under the working directory: in the target's own folder. */
static void make_folders(void)
{
    char here[4096];
    if (folder[0])
        return;
    if (!getcwd(here, sizeof here) || chdir(fuzz_folder()))
        abort();
    for (size_t i = 0; i < KINDS; i++)
        if (!(folder[i] = toy_make(kinds[i].toy, "", NULL, NULL)))
            abort();
    if (chdir(here))
        abort();
}

static void check(const struct clip *c)
{
    const struct clip_info *i = clip_info(c);
    if (i->dim < 1 || i->dim > CLIP_MAX_DIM || i->context < 1 || i->vocab < 1 ||
        i->image_size < 1 || !i->name || !i->arch)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct clip *c = NULL;
    struct error err = {ST_OK, ""};
    if (!size)
        return 0;
    make_folders();
    size_t k = data[0] % KINDS;
    char config[128], preprocess[128], path[192];
    snprintf(config, sizeof config, "%s/%s", folder[k], kinds[k].config);
    snprintf(preprocess, sizeof preprocess, "%s/preprocessor_config.json", folder[k]);
    const char *const files[] = {config, preprocess};
    fuzz_folder_put_all(files, 2, (const char *)data + 1, size - 1);
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), folder[k]);
    bool refused = clip_open(&c, path, NULL, &err) != ST_OK;
    if (!refused)
        check(c);
    fuzz_message(&err, refused);
    clip_close(c);
    return 0;
}

FUZZ_STRUCTURE(grammar_json_files)
