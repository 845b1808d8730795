/* Two spellings of one network's tensors: diffusers' folders and CompVis' single files (LDM).
 *
 *     struct net_names n = {.kind = NET_UNET, .ldm = true, .per_level = 2};
 *     char name[NET_NAME_MAX];
 *     net_name(&n, name, "down_blocks.1.resnets.0.conv1");  // input_blocks.4.0.in_layers.2
 *
 * The program speaks diffusers' names; one table turns them into LDM's. */
#ifndef EIDETIC_SAMPLER_NETS_NAMES_H
#define EIDETIC_SAMPLER_NETS_NAMES_H

#include <stdbool.h>

enum { NET_NAME_MAX = 192 };

enum net_kind { NET_UNET, NET_VAE };

struct net_names {
    enum net_kind kind;
    bool ldm;
    int per_level; /* unet: residual blocks on a level on the way down */
    int levels;    /* vae: its decoder counts them from the other end */
    int up_slot;   /* unet: which part of an output block enlarges: 2 behind an attention, else 1 */
};

/* stem: without ".weight" and ".bias". False: LDM has no such part, or the name is too long. */
bool net_name(const struct net_names *n, char out[NET_NAME_MAX], const char *stem);

#endif
