/* Private to the model command. */
#ifndef EIDETIC_APP_MODEL_APP_H
#define EIDETIC_APP_MODEL_APP_H

#include "nn/convert.h"

/* in: a weight file or a model folder; out: the same kind, which must not exist yet where it is a
 * folder. */
enum status model_convert_all(const char *in, const char *out, enum dtype to,
                              struct convert_stats *stats, struct error *err);
/* The file (or index of shards) that holds a model's weights; mem_free *path. */
enum status model_weights_path(const char *model, char **path, struct error *err);

#endif
