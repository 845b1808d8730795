/* Any bytes as a colour profile, for pixels and for inks. */
#include "image/color.h"
#include "tests/fuzz/structure.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image img;
    struct color_cmyk inks;
    uint8_t cmyk[4 * 4] = {0, 50, 100, 255, 7, 7, 7, 7}, rgb[4 * 3];
    if (image_alloc(&img, 5, 3, NULL))
        return 0;
    for (int grey = 0; grey < 2; grey++) {
        for (int i = 0; i < 5 * 3 * 3; i++)
            img.data[i] = (uint8_t)(grey ? i / 3 * 17 : i * 5);
        color_to_srgb(&img, data, size);
    }
    color_cmyk_init(&inks, data, size, true);
    color_cmyk_row(rgb, cmyk, 4, &inks);
    color_cmyk_release(&inks);
    image_release(&img);
    return 0;
}

FUZZ_STRUCTURE(grammar_icc)
