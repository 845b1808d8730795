/* diffusers' names to LDM's. A place says where in the network, a part what of it; '#' stands for a
 * number. LDM numbers blocks through all levels, a level's resampling counted as one more. */
#include "sampler/nets/names.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum count {
    SAME,      /* the numbers as they are */
    DOWN,      /* level, block -> 1 + level * (per_level + 1) + block */
    DOWN_LAST, /* level -> (level + 1) * (per_level + 1) */
    UP,        /* level, block -> level * (per_level + 1) + block */
    UP_LAST,   /* level -> level * (per_level + 1) + per_level, and the slot */
    REVERSED,  /* level, block -> levels - 1 - level, block */
};

struct rule {
    const char *from, *to;
    enum count count;
};

static const struct rule unet_places[] = {
    {"conv_in.", "input_blocks.0.0.", SAME},
    {"time_embedding.linear_1.", "time_embed.0.", SAME},
    {"time_embedding.linear_2.", "time_embed.2.", SAME},
    {"down_blocks.#.resnets.#.", "input_blocks.#.0.", DOWN},
    {"down_blocks.#.attentions.#.", "input_blocks.#.1.", DOWN},
    {"down_blocks.#.downsamplers.0.conv.", "input_blocks.#.0.op.", DOWN_LAST},
    {"mid_block.resnets.0.", "middle_block.0.", SAME},
    {"mid_block.attentions.0.", "middle_block.1.", SAME},
    {"mid_block.resnets.1.", "middle_block.2.", SAME},
    {"up_blocks.#.resnets.#.", "output_blocks.#.0.", UP},
    {"up_blocks.#.attentions.#.", "output_blocks.#.1.", UP},
    {"up_blocks.#.upsamplers.0.conv.", "output_blocks.#.#.conv.", UP_LAST},
    {"conv_norm_out.", "out.0.", SAME},
    {"conv_out.", "out.2.", SAME},
    {NULL, NULL, SAME},
};

static const struct rule unet_parts[] = {
    {"norm1.", "in_layers.0.", SAME},
    {"conv1.", "in_layers.2.", SAME},
    {"time_emb_proj.", "emb_layers.1.", SAME},
    {"norm2.", "out_layers.0.", SAME},
    {"conv2.", "out_layers.3.", SAME},
    {"conv_shortcut.", "skip_connection.", SAME},
    {NULL, NULL, SAME},
};

static const struct rule vae_places[] = {
    {"encoder.down_blocks.#.resnets.#.", "encoder.down.#.block.#.", SAME},
    {"encoder.down_blocks.#.downsamplers.0.conv.", "encoder.down.#.downsample.conv.", SAME},
    {"encoder.mid_block.resnets.0.", "encoder.mid.block_1.", SAME},
    {"encoder.mid_block.attentions.0.", "encoder.mid.attn_1.", SAME},
    {"encoder.mid_block.resnets.1.", "encoder.mid.block_2.", SAME},
    {"encoder.conv_norm_out.", "encoder.norm_out.", SAME},
    {"decoder.mid_block.resnets.0.", "decoder.mid.block_1.", SAME},
    {"decoder.mid_block.attentions.0.", "decoder.mid.attn_1.", SAME},
    {"decoder.mid_block.resnets.1.", "decoder.mid.block_2.", SAME},
    {"decoder.up_blocks.#.resnets.#.", "decoder.up.#.block.#.", REVERSED},
    {"decoder.up_blocks.#.upsamplers.0.conv.", "decoder.up.#.upsample.conv.", REVERSED},
    {"decoder.conv_norm_out.", "decoder.norm_out.", SAME},
    {NULL, NULL, SAME},
};

static const struct rule vae_parts[] = {
    {"conv_shortcut.", "nin_shortcut.", SAME},
    {"group_norm.", "norm.", SAME},
    {"to_q.", "q.", SAME},
    {"to_k.", "k.", SAME},
    {"to_v.", "v.", SAME},
    {"to_out.0.", "proj_out.", SAME},
    {NULL, NULL, SAME},
};

/* How much of name the pattern takes up, or 0; its numbers to v. */
static size_t match(const char *pattern, const char *name, int v[2])
{
    const char *s = name;
    for (int k = 0; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*s++ != *pattern)
                return 0;
            continue;
        }
        char *end;
        v[k++] = (int)strtol(s, &end, 10);
        if (end == s)
            return 0;
        s = end;
    }
    return (size_t)(s - name);
}

static void renumber(const struct net_names *n, enum count count, int v[2])
{
    switch (count) {
    case SAME:
        break;
    case DOWN:
        v[0] = 1 + v[0] * (n->per_level + 1) + v[1];
        break;
    case DOWN_LAST:
        v[0] = (v[0] + 1) * (n->per_level + 1);
        break;
    case UP:
        v[0] = v[0] * (n->per_level + 1) + v[1];
        break;
    case UP_LAST:
        v[0] = v[0] * (n->per_level + 1) + n->per_level;
        v[1] = n->up_slot;
        break;
    case REVERSED:
        v[0] = n->levels - 1 - v[0];
        break;
    }
}

/* Appends pattern with its numbers filled in. */
static bool fill(char out[NET_NAME_MAX], const char *pattern, const int v[2])
{
    size_t at = strlen(out);
    for (int k = 0; *pattern && at + 16 < NET_NAME_MAX; pattern++) {
        if (*pattern == '#')
            at += (size_t)snprintf(out + at, NET_NAME_MAX - at, "%d", v[k++]);
        else
            out[at++] = *pattern;
        out[at] = 0;
    }
    return *pattern == 0;
}

/* The first rule that fits the start of *name is applied to it. */
static bool apply(const struct net_names *n, const struct rule *rules, char out[NET_NAME_MAX],
                  const char **name)
{
    for (; rules->from; rules++) {
        int v[2] = {0};
        size_t used = match(rules->from, *name, v);
        if (!used)
            continue;
        renumber(n, rules->count, v);
        *name += used;
        return fill(out, rules->to, v);
    }
    return true;
}

bool net_name(const struct net_names *n, char out[NET_NAME_MAX], const char *stem)
{
    char dotted[NET_NAME_MAX];
    const char *rest = dotted;
    int len = snprintf(dotted, sizeof dotted, "%s.", stem);
    out[0] = 0;
    if (len < 0 || len >= NET_NAME_MAX)
        return false;
    bool unet = n->kind == NET_UNET;
    if (n->ldm && !(apply(n, unet ? unet_places : vae_places, out, &rest) &&
                    apply(n, unet ? unet_parts : vae_parts, out, &rest)))
        return false;
    size_t at = strlen(out), more = strlen(rest);
    if (at + more >= NET_NAME_MAX)
        return false;
    memcpy(out + at, rest, more + 1);
    out[strlen(out) - 1] = 0; /* the dot */
    return true;
}
