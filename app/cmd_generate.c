/* eidetic generate: a picture from a sentence, by a Stable Diffusion checkpoint. */
#include "app/generate_app.h"
#include "app/generate_from.h"
#include "app/generate_name.h"
#include "app/generate_xy.h"
#include <string.h>

const struct option_def generate_defs[] = {
    {"negative-prompt", 'n', OPT_TEXT, offsetof(struct generate_args, negative), "TEXT",
     "what the picture is led away from"},
    {"width", 'W', OPT_INT, offsetof(struct generate_args, width), "N",
     "pixels, a multiple of 8 (the init image's; else 512, or 64 with the starter)"},
    {"height", 'H', OPT_INT, offsetof(struct generate_args, height), "N",
     "pixels, a multiple of 8 (the init image's; else 512, or 64 with the starter)"},
    {"steps", 0, OPT_INT, offsetof(struct generate_args, steps), "N", "steps of the solver (20)"},
    {"cfg-scale", 0, OPT_NUMBER, offsetof(struct generate_args, guidance), "X",
     "how strongly the prompt leads; 1 = without the negative (7, or 4 with the starter)"},
    {"seed", 's', OPT_TEXT, offsetof(struct generate_args, seed), "N",
     "of the first picture, the next has N + 1; negative = random (-1)"},
    {"batch-count", 'b', OPT_INT, offsetof(struct generate_args, count), "N", "pictures (1)"},
    {"sampler", 0, OPT_TEXT, offsetof(struct generate_args, sampler), "NAME",
     "solver, in any program's spelling: \"DPM++ 2M\", dpmpp_2m_karras (Euler a)"},
    {"schedule", 0, OPT_TEXT, offsetof(struct generate_args, schedule), "NAME",
     "noise levels (the solver's, else normal)"},
    {"clip-skip", 0, OPT_INT, offsetof(struct generate_args, clip_skip), "N",
     "2 leaves out the text tower's last layer (1)"},
    {"rng", 0, OPT_TEXT, offsetof(struct generate_args, rng), "cpu|cuda",
     "whose noise: torch's on a processor or on a graphics card (cpu)"},
    {"prediction", 0, OPT_TEXT, offsetof(struct generate_args, prediction), "eps|v",
     "what the network predicts, where the files do not say (eps)"},
    {"ema", 0, OPT_FLAG, offsetof(struct generate_args, averaged), NULL,
     "take the averaged weights, where a single file has both"},
    {"zero-snr", 0, OPT_FLAG, offsetof(struct generate_args, zero_snr), NULL,
     "noise levels up to noise alone, for networks trained so whose files do not say it"},
    {"guidance-rescale", 0, OPT_NUMBER, offsetof(struct generate_args, guidance_rescale), "X",
     "0 to 1: so much of the contrast that --cfg-scale adds is taken back (0)"},
    {"output", 'o', OPT_TEXT, offsetof(struct generate_args, output), "FILE",
     "a .png, .jpg or .webp that is not there yet (else a name in the library); %d or %03d in it "
     "is the number"},
    {"name-pattern", 0, OPT_TEXT, offsetof(struct generate_args, name_pattern), "PATTERN",
     "names in the library, as AUTOMATIC1111's: \"[model_name]/[seed]-[prompt_words]\" "
     "(" GENERATE_NAME ")"},
    {"quality", 0, OPT_INT, offsetof(struct generate_args, quality), "N",
     "of a .jpg or .webp, 1 to 100 (90)"},
    {"no-file", 0, OPT_FLAG, offsetof(struct generate_args, no_file), NULL,
     "do not add it to the library; needs -o"},
    {"best-of", 0, OPT_INT, offsetof(struct generate_args, best_of), "N",
     "make N and keep the one nearest to the prompt by the library's model (1)"},
    {"checkpoint", 0, OPT_TEXT, offsetof(struct generate_args, checkpoint), "NAME|PATH",
     "as --model; this is the name for the config file"},
    {"lora-dir", 0, OPT_TEXT, offsetof(struct generate_args, lora_dir), "DIR",
     "where <lora:NAME:0.8> in the prompt finds NAME.safetensors, folders below it included"},
    {"from", 0, OPT_TEXT, offsetof(struct generate_args, from), "FILE",
     "make this picture again from the text in it; PROMPT and options given change that"},
    {"grid", 0, OPT_TEXT, offsetof(struct generate_args, grid), "FILE",
     "also all pictures of the run in one, a .png that is not there yet"},
    {"x", 0, OPT_TEXT, offsetof(struct generate_args, x), "NAME=V,V,...",
     "a column of the grid for each value of an option: steps=10,20,30, \"cfg scale=4-10 (+2)\""},
    {"y", 0, OPT_TEXT, offsetof(struct generate_args, y), "NAME=V,V,...",
     "the same for rows: seed=1-4, \"prompt s/r=red,blue,green\""},
    {"preview", 0, OPT_OPTIONAL, offsetof(struct generate_args, preview), "KIND",
     "show the picture while it is made, where stderr is a terminal: kitty, iterm2, sixel, blocks "
     "(the best it names)"},
    {"preview-every", 0, OPT_INT, offsetof(struct generate_args, preview_every), "N",
     "after each N-th call of the network (as often as twice a second)"},
    {"variation-strength", 0, OPT_NUMBER, offsetof(struct generate_args, more.variation), "X",
     "0 to 1: how far the seed's noise turns towards the variation seed's (0)"},
    {"variation-seed", 0, OPT_TEXT, offsetof(struct generate_args, more.variation_seed), "N",
     "of the first picture, the next has N + 1 while --seed stays; negative = random (-1)"},
    {"hires-scale", 0, OPT_NUMBER, offsetof(struct generate_args, more.hires_scale), "X",
     "enlarge the picture so many times and go over it once more"},
    {"hires-upscaler", 0, OPT_TEXT, offsetof(struct generate_args, more.hires_upscaler), "NAME",
     "what is enlarged: latent, or lanczos for pixels (latent)"},
    {"hires-steps", 0, OPT_INT, offsetof(struct generate_args, more.hires_steps), "N",
     "steps of which --hires-strength takes its part (as --steps)"},
    {"hires-strength", 0, OPT_NUMBER, offsetof(struct generate_args, more.hires_strength), "X",
     "how much of the enlarged picture is made anew (0.7)"},
    {"circular", 0, OPT_FLAG, offsetof(struct generate_args, more.circular), NULL,
     "a picture that tiles without seams"},
    {"vae-tiling", 0, OPT_FLAG, offsetof(struct generate_args, more.vae_tiling), NULL,
     "decode in overlapping tiles of 256 pixels: less memory, slightly other colours"},
    {"low-vram", 0, OPT_FLAG, offsetof(struct generate_args, low_vram), NULL,
     "with --device cuda: copy weights up as they are needed, for cards of 4 GB; slower"},
    {"init-image", 0, OPT_TEXT, offsetof(struct generate_args, picture.init_path), "FILE",
     "start from this picture; without -W and -H it also gives the sides, up to 768"},
    {"strength", 0, OPT_NUMBER, offsetof(struct generate_args, picture.strength), "X",
     "how much of the init image is made anew: int(X * steps) steps are taken (0.75)"},
    {"mask", 0, OPT_TEXT, offsetof(struct generate_args, picture.mask_path), "FILE",
     "repaint the init image where this picture is white, resized to it; all else stays"},
    {"mask-blur", 0, OPT_NUMBER, offsetof(struct generate_args, picture.blur), "X",
     "pixels over which new and old are mixed at the mask's edge (4)"},
    {"mask-content", 0, OPT_TEXT, offsetof(struct generate_args, picture.content), "WHAT",
     "what is repainted: the original, a fill of its surroundings' colours, or noise (original)"},
    {"only-masked", 0, OPT_FLAG, offsetof(struct generate_args, picture.only_masked), NULL,
     "make just the mask's surroundings, at the sides given, and put them into the whole picture"},
    {"mask-padding", 0, OPT_INT, offsetof(struct generate_args, picture.padding), "N",
     "pixels round the mask that --only-masked takes along (32)"},
    {"outpaint", 0, OPT_TEXT, offsetof(struct generate_args, picture.outpaint), "L,R,T,B",
     "so many pixels more to the left, right, top and bottom of the init image"},
    {"embeddings-dir", 0, OPT_TEXT, offsetof(struct generate_args, embeddings_dir), "DIR",
     "textual inversions; a file's name in a prompt stands for its vectors"},
    {"wildcards-dir", 0, OPT_TEXT, offsetof(struct generate_args, wildcards_dir), "DIR",
     "__animal__ in the prompt becomes a line of DIR/animal.txt, another one for another seed"},
    {"vae", 0, OPT_TEXT, offsetof(struct generate_args, vae), "PATH",
     "another autoencoder than the checkpoint's: a file or a diffusers folder"},
    {"taesd", 0, OPT_TEXT, offsetof(struct generate_args, taesd), "PATH",
     "decode (and encode, where it can) with this tiny autoencoder: sooner, in less memory"},
    {0}};

const struct generate_args generate_defaults = {.width = -1,
                                                .height = -1,
                                                .steps = 20,
                                                .count = 1,
                                                .clip_skip = 1,
                                                .best_of = 1,
                                                .quality = 90,
                                                .name_pattern = GENERATE_NAME,
                                                .guidance = GENERATE_UNSAID,
                                                .picture = GENERATE_PICTURE_NOTHING,
                                                .more = GENERATE_MORE_NOTHING};

/* What the picture was made with says another name than the checkpoint's: worth a word. */
static void compare_models(const struct generate_from *f, const struct generate_run *r)
{
    const char *model = parameters_get(&f->text, "Model");
    const char *hash = parameters_get(&f->text, "Model hash");
    if (hash && r->model_hash[0] && strlen(hash) >= 8) { /* a file may be called otherwise here */
        if (strncmp(hash, r->model_hash, strlen(hash)) != 0)
            log_warn("%s was made with %s (%.12s), not with %s (%.10s)", f->path,
                     model ? model : "another model", hash, r->checkpoint->name, r->model_hash);
    } else if (model && strcmp(model, r->checkpoint->name) != 0)
        log_warn("%s was made with %s, not with %s", f->path, model, r->checkpoint->name);
}

static int read_again(struct app *a, struct generate_args *g, struct generate_from *f, int argc,
                      char **argv)
{
    f->path = g->from;
    if (app_want_args(a, f->path ? 0 : 1, 1))
        return 1;
    if (!f->path)
        return 0;
    *g = generate_defaults;
    if (app_read_again(a, generate_defs, g, argc, argv, generate_from_fill, f))
        return 1;
    const char *init = parameters_get(&f->text, "Init image");
    if (g->picture.strength != GENERATE_UNSAID && !g->picture.init_path)
        return app_usage(a,
                         "%.150s was made from another picture%s%.80s: give it with --init-image",
                         f->path, init ? ", " : "", init ? init : "");
    return 0;
}

static int make_pictures(struct generate_run *r, const struct generate_args *g)
{
    int failed = 0;
    for (int i = 0; !failed && i < g->count; i++)
        failed = generate_make(r);
    return failed || generate_grid_write(r->app, &r->grid, NULL);
}

static int run_generate(struct app *a, int argc, char **argv)
{
    struct generate_args g = generate_defaults;
    struct generate_run r = {.filing.lock = -1};
    struct generate_from f = {0};
    if (app_begin(a, &cmd_generate, generate_defs, &g, argc, argv))
        return a->exit;
    int failed = read_again(a, &g, &f, argc, argv);
    const char *prompt = a->rest.n ? a->rest.item[0].value : f.text.prompt;
    if (!failed && (g.x || g.y)) {
        generate_xy(a, &g, prompt);
    } else if (!failed) {
        failed = generate_begin(&r, a, &g, prompt);
        if (!failed && f.path)
            compare_models(&f, &r);
        if (!failed)
            make_pictures(&r, &g);
        generate_end(&r);
    }
    generate_from_release(&f);
    return a->exit;
}

const struct command cmd_generate = {
    "generate", "a picture from a sentence",
    "usage: eidetic generate PROMPT --model CHECKPOINT\n\n"
    "Makes a picture with a Stable Diffusion 1.x checkpoint (one file, or a diffusers folder), "
    "which --model\n"
    "names here. Solvers and noise follow k-diffusion and torch, step by step. The prompt has\n"
    "AUTOMATIC1111's grammar: (a:1.3), [a], [a:b:0.5], [a|b], AND, BREAK, <lora:NAME:0.8>, or\n"
    "<lora:NAME:TEXT:UNET> with a strength for the text tower and one for the denoiser. The file "
    "holds\n"
    "its parameters as text, and is never written over another. It is filed into the library and "
    "found from then "
    "on.\n"
    "--init-image starts from a picture instead of from noise, which is only read: it is resized "
    "as\n"
    "Pillow's Lanczos filter does, encoded, and given the noise that int(strength * steps) steps "
    "take\n"
    "away again, as in diffusers. Where a --mask is black, and farther from white than\n"
    "2.5 * --mask-blur pixels, the picture stays as it is to the last bit.\n"
    "Marks of --name-pattern: [seed], [steps], [cfg], [width], [height], [sampler], [scheduler],\n"
    "[model_name], [model_hash], [vae_filename], [clip_skip], [denoising], [date], [datetime],\n"
    "[datetime<%Y-%m>], [prompt], [prompt_spaces], [prompt_words], [prompt_hash],\n"
    "[negative_prompt_hash], [full_prompt_hash], [batch_number], [none], and [words], words with\n"
    "dashes. '/' makes folders.\n\n"
    "  eidetic generate \"a lighthouse at night\" --model ~/sd/v1-5.safetensors\n"
    "  eidetic generate \"a (red:1.3) boat\" -n blurry --sampler \"DPM++ 2M Karras\" --steps 25 "
    "\\\n"
    "      --seed 42 -b 4 --model v1-5.safetensors -o boat-%03d.png\n"
    "  eidetic generate \"the same beach in winter\" --init-image beach.jpg --strength 0.6 \\\n"
    "      --model v1-5.safetensors\n"
    "  eidetic generate \"an empty bench\" --init-image park.jpg --mask people.png --only-masked "
    "\\\n"
    "      --model v1-5.safetensors\n"
    "  eidetic generate \"a wide valley\" --init-image hills.jpg --outpaint 128,128,0,0 \\\n"
    "      --strength 0.9 --model v1-5.safetensors\n"
    "  eidetic generate \"a red boat\" --model v1-5.safetensors --grid plot.png --seed 5 \\\n"
    "      --x \"steps=10-30 (+10)\" --y \"sampler=Euler a,DPM++ 2M Karras\"\n"
    "  eidetic generate --from lighthouse.png --seed 7 --model v1-5.safetensors",
    run_generate};
