/* Pictures that `generate` starts from, and masks that say where.
 *
 *     struct generate_picture p = {.init_path = "beach.jpg", .strength = 0.6};
 *     if (generate_picture_open(a, &p, c, &job)) return a->exit;    // job.init, mask and sides
 *     ... sampler_run(s, &job, &img, &err) ...
 *     if (generate_picture_finish(&p, &img, &err)) ...              // pasted into the picture
 *     generate_picture_release(&p);
 *
 * Files are decoded in a worker process, and only read. */
#ifndef EIDETIC_APP_GENERATE_PICTURE_H
#define EIDETIC_APP_GENERATE_PICTURE_H

#include "app/app.h"
#include "core/buf.h"
#include "sampler/repaint.h"
#include "sampler/sampler.h"

enum { GENERATE_LONGEST = 768 }; /* side that is taken over from a picture */

struct generate_picture {
    /* options */
    const char *init_path, *mask_path; /* NULL = none */
    const char *content;               /* original, fill or noise; NULL = not said */
    const char *outpaint;              /* "left,right,top,bottom" pixels; NULL = none */
    double strength, blur;             /* GENERATE_UNSAID = not said */
    int padding;                       /* -1 = not said */
    bool only_masked;
    /* made by open */
    struct image whole, mask;     /* what is pasted into, and where; as large as it */
    struct image work, work_mask; /* of the job's sides */
    struct repaint_sides more;    /* of outpaint */
    struct repaint_box box;       /* of whole, that work is */
};
#define GENERATE_UNSAID (-1e9)
#define GENERATE_PICTURE_NOTHING                                                                   \
    {                                                                                              \
        .strength = GENERATE_UNSAID, .blur = GENERATE_UNSAID, .padding = -1                        \
    }

/* Sides that job leaves at 0 become the picture's: its own as far as the longer one is at most
 * GENERATE_LONGEST, in proportion otherwise or where one side is given, rounded to the
 * autoencoder's unit; 512 where only the masked part is made. Non-zero: said, a->exit is set. */
int generate_picture_open(struct app *a, struct generate_picture *p, const struct checkpoint *c,
                          struct sampler_job *job);
/* What was made goes into the picture, where there is a mask; *img is then as large as it. */
enum status generate_picture_finish(const struct generate_picture *p, struct image *img,
                                    struct error *err);
/* Appends ", Key: value" for what is to be said of them: the files' names without their folders,
 * and of a mask what AUTOMATIC1111's text has. */
void generate_picture_put(const struct generate_picture *p, struct buf *b);
void generate_picture_release(struct generate_picture *p);

/* For tests: the sides of a job from those of a picture. */
void generate_picture_sides(struct sampler_job *job, int width, int height, int unit);

#endif
