/* Making pictures: shared by `generate` and by a search that makes what it does not find. */
#ifndef EIDETIC_APP_GENERATE_APP_H
#define EIDETIC_APP_GENERATE_APP_H

#include "app/filing.h"
#include "app/generate_grid.h"
#include "app/generate_more.h"
#include "app/generate_picture.h"
#include "app/generate_wildcards.h"
#include "app/preview.h"
#include "core/progress.h"
#include "sampler/lora/lora.h"
#include "sampler/sampler.h"

struct generate_args {
    const char *negative, *seed, *sampler, *schedule, *rng, *output, *prediction, *checkpoint;
    const char *lora_dir, *embeddings_dir, *vae, *taesd, *wildcards_dir;
    int width, height, steps, count, clip_skip, best_of, quality;
    double guidance, guidance_rescale;
    bool no_file, averaged, zero_snr, low_vram;
    struct generate_picture picture; /* its options */
    struct generate_more more;
    const char *grid, *from, *x, *y, *name_pattern;
    const char *preview; /* NULL, "" or a kind of image/terminal.h */
    int preview_every;
};
extern const struct option_def generate_defs[];
extern const struct generate_args generate_defaults;

/* Puts --vae and --taesd (either may be NULL) in the place of c's autoencoder. Non-zero: said,
 * a->exit is set. */
int generate_vae_open(struct app *a, struct checkpoint *c, const char *vae, const char *taesd);

/* What a prompt adds to the checkpoint. */
struct generate_nets {
    const char *lora_dir, *embeddings_dir; /* NULL = none */
    struct lora_list loras;
    struct lora_patch *patch;
    struct embeddings *embeddings;
    char *lora_hashes; /* as the text has them */
};
/* Finds and adds them, says of each LoRA how much of it was used, and sets job->embeddings.
 * Non-zero: said, a->exit is set. No sampler may be open, neither here nor at close, which says
 * what embeddings the prompts had. */
int generate_nets_open(struct app *a, struct generate_nets *g, struct checkpoint *c,
                       struct sampler_job *job);
/* What the text says of the embeddings that prompts had so far; mem_free, NULL = said. */
char *generate_embedding_hashes(struct app *a, const struct generate_nets *g);
void generate_nets_close(struct generate_nets *g); /* takes a zeroed struct */

/* A checkpoint that is open, and what is asked of it. */
struct generate_run {
    struct app *app;
    const struct generate_args *args;
    struct checkpoint *checkpoint;
    struct generate_nets nets;
    char model_hash[65], vae_hash[65]; /* "" = of no single file */
    struct generate_picture source;    /* what it starts from */
    struct generate_grid grid;
    struct sampler *sampler;
    struct sampler_job job; /* its seed moves on with each picture */
    struct filing filing;
    const char *asked; /* the prompt with its wildcards */
    char *words;       /* what they became, or NULL */
    struct progress line;
    struct preview preview;
    char redone[64]; /* parts of which it was said that half precision does not do */
    char label[64];
    int index;             /* of the next picture in the pattern of -o */
    int picture, pictures; /* for the progress line */
    int done;              /* pictures that are made: the next one's place in the grid */
    const char *more;      /* pairs for the text, ", Key: value" */
};
struct generate_made {
    char *path; /* mem_free; NULL where it is only for the grid */
    uint64_t seed, variation_seed;
    int width, height;
    float score; /* cosine to the prompt, by the library's model */
    double seconds;
    bool filed;
};

/* generate_end also after a failure. Non-zero: said, a->exit is set. */
int generate_begin(struct generate_run *r, struct app *a, const struct generate_args *g,
                   const char *prompt);
/* The best of args->best_of candidates: written and, unless args->no_file, filed. Where filing
 * alone fails the picture is kept and *m tells it; a->exit is set. */
int generate_one(struct generate_run *r, struct generate_made *m);
/* The run goes on with other args (which must stay while it does) and another prompt; what they
 * have in common with those before stays open. generate_end also after a failure. */
int generate_again(struct generate_run *r, const struct generate_args *g, const char *prompt);
void generate_end(struct generate_run *r); /* takes a zeroed struct */
/* What args ask for, without a checkpoint: wrong names and numbers are said. */
int generate_read_job(struct app *a, const struct generate_args *g, const char *prompt,
                      struct sampler_job *job);
/* generate_one, and a line about it on stdout. */
int generate_make(struct generate_run *r);
json_t *generate_json(const struct generate_run *r, const struct generate_made *m);

/* The folder of the starter model's own sampler, or NULL where there is none; mem_free. */
char *generate_starter_path(void);

/* What a picture's text tells; NULL where nothing is to be told. */
struct generate_told {
    const struct sampler_job *job; /* checked */
    const struct checkpoint *checkpoint;
    const struct generate_picture *picture;
    const char *model_hash, *vae_hash;          /* SHA-256 in hex */
    const char *lora_hashes, *embedding_hashes; /* "name: hash, name: hash" */
    const char *more;                           /* pairs in their written form, ", Key: value" */
};
/* AUTOMATIC1111's "parameters" text; mem_free, NULL = no memory. */
char *generate_parameters(const struct generate_told *t);

/* The path of picture number `index` (from 1): the pattern's one %d, %3d or %03d filled in; numbers
 * whose file is there already are passed over and *index moves on. A path without one is itself,
 * and ST_USAGE when it is there. The folder must be there and writable (ST_USAGE, ST_NOSPACE).
 * mem_free it. */
enum status generate_path(char **path, const char *pattern, int *index, struct error *err);
/* Is it a file's name with at most one number in it? count: pictures to come. */
enum status generate_check_pattern(const char *pattern, int count, struct error *err);

#endif
