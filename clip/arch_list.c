/* Every model family that is read. To add one: write clip/arch/<family>.c, then add it here.
 * The first whose probe says yes opens the model. */
#include "clip/arch.h"

extern const struct clip_arch clip_arch_clip_cpp, clip_arch_hf_clip, clip_arch_open_clip,
    clip_arch_open_clip_resnet, clip_arch_mobileclip, clip_arch_multilingual, clip_arch_siglip,
    clip_arch_starter;

const struct clip_arch *const clip_arch_list[] = {
    &clip_arch_starter,          &clip_arch_clip_cpp,  &clip_arch_multilingual,
    &clip_arch_siglip,           &clip_arch_hf_clip,   &clip_arch_mobileclip,
    &clip_arch_open_clip_resnet, &clip_arch_open_clip, NULL,
};
