/* The text that goes with a generated picture, and the names of its file. The text's form is
 * AUTOMATIC1111's: the prompt, "Negative prompt: ...", and one line of "Key: value" with commas
 * between, where a value that has a comma, a colon or a line's end in it is quoted as in JSON. */
#include "app/generate_app.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/path.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "sgm uniform" as "SGM Uniform"; k-diffusion's own schedule is called Uniform there. */
static void put_schedule(struct buf *b, const char *name)
{
    if (!strcmp(name, "normal"))
        name = "uniform";
    buf_puts(b, ", Schedule type: ");
    if (!strncmp(name, "sgm", 3)) {
        buf_puts(b, "SGM");
        name += 3;
    }
    for (bool start = true; *name; start = *name == ' ', name++)
        buf_putc(b, (char)(start || name[-1] == ' ' ? toupper((unsigned char)*name) : *name));
}

static void put_hash(struct buf *b, const char *key, const char *hash)
{
    if (hash && *hash)
        buf_printf(b, ", %s: %.10s", key, hash);
}

static void put_list(struct buf *b, const char *key, const char *list)
{
    if (list && *list)
        parameters_put(b, key, list);
}

char *generate_parameters(const struct generate_told *t)
{
    const struct sampler_job *job = t->job;
    const struct checkpoint *c = t->checkpoint;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_puts(&b, job->prompt);
    if (job->negative[0])
        buf_printf(&b, "\nNegative prompt: %s", job->negative);
    buf_printf(&b, "\nSteps: %d", job->steps);
    parameters_put(&b, "Sampler", job->solver->name);
    put_schedule(&b, job->schedule->name);
    buf_printf(&b, ", CFG scale: %g, Seed: %" PRIu64 ", Size: %dx%d", job->guidance, job->seed,
               job->width, job->height);
    put_hash(&b, "Model hash", t->model_hash);
    parameters_put(&b, "Model", c->name);
    put_hash(&b, "VAE hash", t->vae_hash);
    if (c->vae_name)
        parameters_put(&b, "VAE", c->vae_name);
    if (job->init)
        buf_printf(&b, ", Denoising strength: %g", job->strength);
    if (job->clip_skip > 1)
        buf_printf(&b, ", Clip skip: %d", job->clip_skip);
    if (job->rng == NOISE_TORCH) /* there the graphics card's is the default */
        buf_puts(&b, ", RNG: CPU");
    if (c->vae.tiny_decoder)
        buf_puts(&b, ", VAE Decoder: TAESD");
    if (c->prediction == PREDICT_V)
        buf_puts(&b, ", Prediction: v");
    if (c->zero_snr)
        buf_puts(&b, ", Noise Schedule: Zero Terminal SNR");
    if (job->guidance_rescale > 0)
        buf_printf(&b, ", CFG Rescale phi: %g", job->guidance_rescale);
    generate_more_put(job, &b);
    if (t->picture)
        generate_picture_put(t->picture, &b);
    put_list(&b, "Lora hashes", t->lora_hashes);
    put_list(&b, "TI hashes", t->embedding_hashes);
    if (t->more)
        buf_puts(&b, t->more);
    buf_puts(&b, ", Version: eidetic " EIDETIC_VERSION);
    return buf_take(&b);
}

/* The '%' of the pattern's number and how long it is with its 'd'; "%%" is a percent sign. */
static const char *number_in(const char *pattern, size_t *len)
{
    for (const char *s = pattern; (s = strchr(s, '%')); s += 2) {
        if (s[1] == '%')
            continue;
        *len = 1 + strspn(s + 1, "0123456789") + 1;
        return s[*len - 1] == 'd' && *len <= 4 ? s : NULL;
    }
    return NULL;
}

static bool stray_percent(const char *s)
{
    for (; (s = strchr(s, '%')); s += 2)
        if (s[1] != '%')
            return true;
    return false;
}

enum status generate_check_pattern(const char *pattern, int count, struct error *err)
{
    size_t len = 0;
    const char *number = number_in(pattern, &len);
    if (!image_name_written(pattern))
        return error_set(err, ST_USAGE, "%.150s: pictures are written as .png, .jpg or .webp",
                         pattern);
    if (stray_percent(number ? number + len : pattern))
        return error_set(err, ST_USAGE,
                         "%.150s: %%d or %%03d, once, is the picture's number, %%%% a percent sign",
                         pattern);
    if (!number && count > 1)
        return error_set(err, ST_USAGE, "%.150s: %d pictures need a number in the name, as in %s",
                         pattern, count, "out-%03d.png");
    return ST_OK;
}

static void put_plain(struct buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_putc(b, s[i]);
        i += s[i] == '%'; /* "%%" */
    }
}

static char *fill(const char *pattern, int index)
{
    struct buf b;
    size_t len = 0;
    const char *number = number_in(pattern, &len);
    buf_init(&b, 1 << 16);
    if (number) {
        int width = (int)strtol(number + 1, NULL, 10);
        put_plain(&b, pattern, (size_t)(number - pattern));
        if (number[1] == '0')
            buf_printf(&b, "%0*d", width, index);
        else
            buf_printf(&b, "%*d", width, index);
        pattern = number + len;
    }
    put_plain(&b, pattern, strlen(pattern));
    return buf_take(&b);
}

/* A picture takes minutes: what keeps its file from being written should be known before. */
static enum status check_folder(const char *path, struct error *err)
{
    char *dir = path_dir(path);
    enum status st = ST_OK;
    if (!dir)
        st = error_set(err, ST_NOMEM, "out of memory for a name");
    else if (!file_is_dir(dir))
        st = error_set(err, ST_USAGE, "%.180s: no such folder", dir);
    else if (access(dir, W_OK | X_OK))
        st = error_set(err, ST_NOSPACE, "%.180s cannot be written to", dir);
    mem_free(dir);
    return st;
}

enum status generate_path(char **path, const char *pattern, int *index, struct error *err)
{
    size_t len;
    bool numbered = number_in(pattern, &len) != NULL;
    for (;; (*index)++) {
        *path = fill(pattern, *index);
        if (!*path)
            return error_set(err, ST_NOMEM, "out of memory for a name");
        if (!file_exists(*path)) {
            enum status bad = check_folder(*path, err);
            if (bad)
                mem_free(*path);
            *path = bad ? NULL : *path;
            return bad;
        }
        if (!numbered || *index >= 999999)
            break;
        mem_free(*path);
    }
    enum status st =
        error_set(err, ST_USAGE, "%.180s is there already, and is never overwritten", *path);
    mem_free(*path);
    *path = NULL;
    return st;
}
