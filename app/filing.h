/* A picture made is a picture filed: into the library's folder "generated", and its row and vector
 * into the catalogue by the indexer itself, which reads the prompt from the file; its words become
 * tags (prompt_tags.h).
 *
 *     struct filing f;
 *     if (filing_open(&f, a)) return a->exit;          // the library's model, a decoder
 *     filing_score(&f, "a lighthouse", &img, &score);  // cosine, before anything is written
 *     filing_path(&f, &path, "42-a-lighthouse.png");   // .../generated/42-a-lighthouse.png
 *     ... write it ...
 *     filing_add(&f, path);                            // findable from now on
 *     filing_close(&f);
 *
 * The library is open for writing only inside filing_add. A kill between file and row costs
 * nothing: the first filing_add takes in whatever lies in the folder, later ones the new file. Each
 * int function follows app.h: non-zero = said, a->exit is set. */
#ifndef EIDETIC_APP_FILING_H
#define EIDETIC_APP_FILING_H

#include "app/app.h"
#include "caption/lexicon.h"
#include "image/image.h"

struct filing {
    struct app *app;
    char *folder; /* <library>/generated */
    int lock;     /* held while pictures are made for a search; -1 = not */
    bool swept;   /* all of the folder is known */
    char *text;   /* whose vector it is */
    float *vector;
    struct lexicon lexicon; /* of tags, once a prompt needs it */
    struct db *db;          /* in filing_add */
};

/* Opens the library's model (or the default one where there is no library yet) unless a->clip is
 * open already, a session and one decoder process. */
int filing_open(struct filing *f, struct app *a);
/* The model alone. */
int filing_open_model(struct app *a);
void filing_close(struct filing *f); /* takes a zeroed struct; a keeps what it opened */

/* A path for a picture of this name below the folder, numbered where it is taken; its folder is
 * there then. */
int filing_path(struct filing *f, char **path, const char *name);
/* What a prompt shows at its last step, without weights and networks; mem_free, NULL = err says. */
char *filing_words(const char *prompt, struct error *err);
/* The cosine of the picture and the words; `text` is read without the prompt grammar's marks. */
int filing_score(struct filing *f, const char *text, const struct image *img, float *score);
/* path NULL: what lies in the folder and is not known yet. */
int filing_add(struct filing *f, const char *path);

/* One at a time makes pictures for searches of this library, so that none is made twice. Waits. */
int filing_lock(struct filing *f);
void filing_unlock(struct filing *f);

#endif
