/* Private to the model command. */
#ifndef EIDETIC_APP_MODEL_APP_H
#define EIDETIC_APP_MODEL_APP_H

#include "nn/convert.h"

/* in: a weight file or a model folder; out: the same kind, which must not exist yet. */
enum status model_convert_all(const char *in, const char *out, enum dtype to,
                              struct convert_stats *stats, struct error *err);

#endif
