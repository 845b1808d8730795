/* The captioner in the folder of the library's CLIP, which sees by that one's own look at a
 * picture: sentences for index and interrogate beside what they do anyway.
 *
 *     struct caption_own own = {0};
 *     if (caption_own_open(a, &own)) ...             // own.captioner NULL: the model brings none
 *     clip_look_images(a->session, &pixels, 1, vector, own.places, &a->err);
 *     caption_own_say(&own, vector, own.places, &text, &agreement, &a->err);
 *     caption_own_close(&own);
 *
 * Its captions are those of `caption` with the options' defaults, and have the same key. */
#ifndef EIDETIC_APP_CAPTION_OWN_H
#define EIDETIC_APP_CAPTION_OWN_H

#include "app/app.h"
#include "caption/agreement.h"
#include "db/tags.h"

enum { CAPTION_BEAMS = 3, CAPTION_MIN = 5, CAPTION_MAX = 30 };

struct caption_own {
    struct app *app;
    struct captioner *captioner;
    struct captioner_session *session;
    struct caption_opts opts;
    struct agreement agreement;
    char key[DB_TAGS_KEY + 1];
};

/* <the model's folder>/captioner, or NULL where there is none; the model must be found. mem_free.
 */
char *caption_own_path(const struct app *a);
/* The model and the session must be open. */
int caption_own_open(struct app *a, struct caption_own *o);
/* *text is for mem_free; agreement is as in agreement.h. */
enum status caption_own_say(struct caption_own *o, const float *vector, const float *places,
                            char **text, double *agreement, struct error *err);
void caption_own_close(struct caption_own *o); /* takes a zeroed struct */

/* A session of a captioner on the device that the options name. */
int caption_session(struct app *a, const struct captioner *c, struct captioner_session **s);

#endif
