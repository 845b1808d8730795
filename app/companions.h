/* What was taken with a picture: the video of a live photo beside it, and the others of its burst.
 *
 *     json_t *list = app_companions(a, image, "/photos/IMG_0042.HEIC", true);
 *     // [{"kind": "video", "path": "/photos/IMG_0042.MOV"}, {"kind": "burst", "path": ...}]
 *
 * A video is a file of the same name but .mov or .mp4, else, with any_name, one in the folder with
 * the picture's identifier (image/live.h), for which every video there is opened: nothing for a
 * list of pictures. A burst is what db_burst_each says. */
#ifndef EIDETIC_APP_COMPANIONS_H
#define EIDETIC_APP_COMPANIONS_H

#include "app/app.h"

/* image 0: not in the library. NULL: a->err says why. */
json_t *app_companions(struct app *a, int64_t image, const char *path, bool any_name);

#endif
