/* The captioners there are. A new family is one more file and one more line here. */
#include "caption/family.h"

extern const struct captioner_family captioner_family_blip, captioner_family_clipcap,
    captioner_family_starter;

const struct captioner_family *const captioner_families[] = {
    &captioner_family_starter,
    &captioner_family_blip,
    &captioner_family_clipcap,
    NULL,
};
