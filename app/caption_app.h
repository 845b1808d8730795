/* Shared by the files of `caption`: what is asked, and the run over files. */
#ifndef EIDETIC_APP_CAPTION_APP_H
#define EIDETIC_APP_CAPTION_APP_H

#include "app/caption_own.h"
#include "app/caption_write.h"
#include "caption/interrogate.h"
#include "caption/tagger.h"
#include "core/progress.h"
#include "db/tags.h"

enum { CAPTION_TOP = 10, CAPTION_MEAN_OF = 4096 }; /* tags at most; pictures that calibrate */
enum caption_mode { CAPTION_TAGS, CAPTION_CLASSIFY, CAPTION_ASK, CAPTION_INTERROGATE, CAPTION_SAY };

struct caption_run {
    enum caption_mode mode;
    size_t top;
    float thresh;
    bool redo;
    struct caption_write write;
    struct lexicon lexicon;
    struct labels labels;
    struct tagger tagger;
    struct interrogator interrogator; /* of CAPTION_INTERROGATE, as the next two */
    struct caption_own own;
    enum interrogate_mode how;
    char key[DB_TAGS_KEY + 1]; /* of what makes the tags or captions, for the library */
    /* results */
    char **path; /* absolute, in the order of the answers */
    size_t n_paths, cap_paths;
    size_t done, kept, same, failed, unknown; /* files */
    struct progress progress;
};

/* caption_files.c: run->path from the arguments from `first` on; folders are walked. */
int caption_collect(struct app *a, struct caption_run *run, size_t first);
/* All of run->path: embeds what has no stored vector, prints and writes. */
int caption_files(struct app *a, struct caption_run *run);
/* One sentence on stderr, counted. */
void caption_warn_failed(struct caption_run *run, const char *path, const char *text);
void caption_run_release(struct caption_run *run);

/* caption_labels.c: the labels' vectors, from the library's file or computed into it. templates: as
 * in labels_opts. */
int caption_open_labels(struct app *a, const struct lexicon *v, const char *const *templates,
                        struct labels *l);

/* caption_interrogate.c: `how` is --interrogate's value, NULL = best; opening needs the session. */
int caption_interrogate_parse(struct app *a, const char *how, struct caption_run *run);
int caption_interrogate_open(struct app *a, struct caption_run *run);
/* What a prompt begins with, where the library holds a caption: *caption (mem_free), else NULL. */
int caption_stored(struct app *a, int64_t image, char **caption);
/* One answer, of the picture's vector x. image: 0 where the library does not know it; places: its
 * states, or NULL; scores: room for one a label. */
int caption_interrogate(struct app *a, struct caption_run *run, const char *path, int64_t image,
                        const float *x, const float *places, float *scores);

/* cmd_caption.c: one answer. caption may be NULL. */
int caption_print(struct app *a, const char *path, const struct db_tags *t);

#endif
