/* Any bytes as an EXIF block. What comes out must be text that is safe to store and numbers that
 * are in range. */
#include "core/path.h"
#include "image/codec.h"
#include "tests/fuzz/structure.h"
#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_meta m = {.orientation = 1};
    exif_read(&m, data, size);
    check(m.orientation >= 1 && m.orientation <= 8);
    check(utf8_valid(m.taken, strlen(m.taken)) && utf8_valid(m.make, strlen(m.make)));
    check(utf8_valid(m.camera, strlen(m.camera)) && utf8_valid(m.lens, strlen(m.lens)));
    check(!m.has_gps || (fabs(m.lat) <= 90 && fabs(m.lon) <= 180 && isfinite(m.alt)));
    return 0;
}

FUZZ_STRUCTURE(grammar_exif)
