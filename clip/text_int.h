/* Shared by text_clean.c and text_html.c. */
#ifndef EIDETIC_CLIP_TEXT_INT_H
#define EIDETIC_CLIP_TEXT_INT_H

#include <stdint.h>

/* Windows-1252 for 80..9F, with its five holes left as they are; others unchanged. */
uint32_t text_c1(uint32_t c);

#endif
