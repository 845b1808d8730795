/* A session inside, for session.c (texts) and session_images.c alone. */
#ifndef EIDETIC_CLIP_SESSION_INT_H
#define EIDETIC_CLIP_SESSION_INT_H

#include "clip/clip_int.h"

enum { CLIP_SLOTS = 2 };

/* A batch of pictures under way. On a device two of them take turns, so that one's pixels are
 * copied up while the other is computed; on the CPU the first one is queued and taken at once. */
struct slot {
    struct clip_session *s;
    struct arena io, arena; /* io: what goes up and comes down, on a device */
    struct clip_run run;
    struct tensor x, u8, y, p;
    int n;
};

/* What one thread needs to run a tower alone. */
struct lane {
    struct backend *be;
    struct slot slot;
    struct error err;
};

struct clip_session {
    const struct clip *c;
    char pictures[48]; /* the device for pictures, precision included */
    enum precision precision;
    struct backend *be;       /* all threads for one batch at a time */
    struct backend *image_be; /* of pictures, where that is another; on the CPU NULL until used */
    struct arena arena;       /* of texts */
    struct slot slot[CLIP_SLOTS]; /* of pictures, on image_be or be */
    size_t picture_bytes;         /* of a slot's arena, on a device; 0: not known yet */
    int step;          /* pictures of a batch that were found to fit on the device; 0: all */
    struct lane *lane; /* [backend_threads(be)] one thread each, opened at their first use */
    clip_trace_fn *trace;
    void *trace_ctx;
    bool plain; /* during clip_embed_images: rows stay as the tower gives them */
};

/* A run over an empty arena. */
struct clip_run clip_session_begin(struct clip_session *s, struct backend *be, struct arena *arena,
                                   const char *tower, struct error *err);
/* Gives all arenas' memory back; whether there was any of pictures. */
bool clip_session_make_room(struct clip_session *s);
/* Rows of y, on the host: weights that hold NaN or 0 give vectors that compare with nothing. */
enum status clip_session_check(struct clip_session *s, struct clip_run *r, const struct tensor *y);

#endif
