/* A picture made is a picture filed: into the library's folder "generated", and its row and vector
 * into the catalogue by the indexer itself, which reads the prompt from the file.
 *
 *     struct filing f;
 *     if (filing_open(&f, a)) return a->exit;          // the library's model, a decoder
 *     filing_score(&f, "a lighthouse", &img, &score);  // cosine, before anything is written
 *     filing_path(&f, &path, 42, "a lighthouse");      // .../2026/05/42-a-lighthouse.png
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
#include "image/image.h"

struct filing {
    struct app *app;
    char *folder; /* <library>/generated */
    int lock;     /* held while pictures are made for a search; -1 = not */
    bool swept;   /* all of the folder is known */
    char *text;   /* whose vector it is */
    float *vector;
};

/* Opens the library's model (or the default one where there is no library yet) unless a->clip is
 * open already, a session and one decoder process. */
int filing_open(struct filing *f, struct app *a);
void filing_close(struct filing *f); /* takes a zeroed struct; a keeps what it opened */

/* Where the next picture of this seed goes: a name that is free, in a folder that is there. */
int filing_path(struct filing *f, char **path, uint64_t seed, const char *prompt);
/* The cosine of the picture and the words; `text` is read without the prompt grammar's marks. */
int filing_score(struct filing *f, const char *text, const struct image *img, float *score);
/* path NULL: what lies in the folder and is not known yet. */
int filing_add(struct filing *f, const char *path);

/* One at a time makes pictures for searches of this library, so that none is made twice. Waits. */
int filing_lock(struct filing *f);
void filing_unlock(struct filing *f);

#endif
