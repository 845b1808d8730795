/* `caption --mode caption`: its options, and the run over files.
 *
 *     {"beams", 0, OPT_INT, offsetof(struct caption_args, say.beams), ...}
 *     if (caption_say_check(a, &args.say, &say)) ...
 *     if (caption_say_find(a, args.say.captioner, &say.path)) ...     // which captioner, if any
 *     caption_say(a, run, &say);                          // all of run->path
 *     caption_say_close(&say);
 *
 * A caption is chosen among the beams by the library's CLIP (caption/agreement.h). */
#ifndef EIDETIC_APP_CAPTION_SAY_H
#define EIDETIC_APP_CAPTION_SAY_H

#include "app/caption_app.h"

struct caption_say_args {
    const char *captioner, *prompt, *top_p, *temperature, *repetition, *length;
    int beams, min, max, seed;
};
struct caption_say {
    struct caption_opts opts;
    struct captioner *captioner;
    struct captioner_session *session;
    struct decoder *decoder; /* of the captioner's own pixels */
    struct agreement agreement;
    char *path;
    size_t tokens, low;
    double seconds; /* of saying alone */
};

/* --captioner, else the first captioner in the model folders, else the one in the folder of the
 * library's model; *path NULL: there is none. mem_free it. */
int caption_say_find(struct app *a, const char *name, char **path);
int caption_say_check(struct app *a, const struct caption_say_args *args, struct caption_say *s);
/* Before threads start: the captioner and its decoder. */
int caption_say_open(struct app *a, struct caption_say *s);
int caption_say(struct app *a, struct caption_run *run, struct caption_say *s);
void caption_say_close(struct caption_say *s);

#endif
