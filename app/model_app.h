/* Private to the model command. */
#ifndef EIDETIC_APP_MODEL_APP_H
#define EIDETIC_APP_MODEL_APP_H

#include "app/app.h"
#include "nn/convert.h"

struct precision_cosine {
    double median, least; /* of the pictures' cosines to f32 */
};
/* Of the open model on the sample photographs. Returns how many there were: 0 where the samples or
 * the processor's instructions are missing, -1 after a failure that it has told. */
int app_measure_precisions(struct app *a, struct precision_cosine out[PREC_COUNT]);

/* in: a weight file or a model folder; out: the same kind, which must not exist yet. */
enum status model_convert_all(const char *in, const char *out, enum dtype to,
                              struct convert_stats *stats, struct error *err);

#endif
