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
int app_measure_precisions(struct app *a, struct precision_cosine out[PREC_CPU]);

/* in: a weight file or a model folder; out: the same kind, which must not exist yet. */
enum status model_convert_all(const char *in, const char *out, enum dtype to,
                              struct convert_stats *stats, struct error *err);

/* The verbs with files of their own; each returns a->exit. */
#define MODEL_SUMS "SHA256SUMS" /* of a pulled model's folder, as sha256sum writes it */
int model_list(struct app *a, bool speed);
int model_pull(struct app *a, const char *base, const char *sha256);
int model_verify(struct app *a);
enum status model_hash_file(const char *path, char hex[65], struct error *err); /* SHA-256 */

#endif
