/* Sidecars by their names. Two customs are met with: darktable's and digiKam's photo.jpg.xmp, and
 * Adobe's photo.xmp, which a raw file and its JPEG share. */
#include "core/file.h"
#include "core/mem.h"
#include "core/path.h"
#include "image/codec.h"
#include <string.h>

char *image_sidecar_name(const char *path, int i)
{
    const char *ext = path_ext(path);
    size_t n = strlen(path);
    if (i < 0 || i >= IMAGE_SIDECARS || (i >= 2 && !*ext))
        return NULL;
    if (i >= 2)
        n = (size_t)(ext - path) - 1;
    return mem_printf("%.*s.%s", (int)n, path, i % 2 ? "XMP" : "xmp");
}

int64_t image_sidecar_stamp(int64_t stamp, int64_t size, int64_t mtime_ns)
{
    uint64_t h = (uint64_t)stamp ^ UINT64_C(0x9E3779B97F4A7C15);
    const uint64_t part[] = {(uint64_t)size, (uint64_t)mtime_ns};
    for (int i = 0; i < 2; i++) { /* the steps of splitmix64 */
        h = (h ^ part[i]) * UINT64_C(0xBF58476D1CE4E5B9);
        h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
        h ^= h >> 31;
    }
    return (int64_t)(h >> 2) | 1;
}

void image_sidecars_read(struct image_meta *meta, const char *path)
{
    struct image_words all = {0};
    for (int i = 0; i < IMAGE_SIDECARS; i++) {
        char *name = image_sidecar_name(path, i), *text = NULL;
        size_t size;
        if (name && !file_read_all(&text, &size, name, IMAGE_SIDECAR_MAX, NULL))
            (void)xmp_read(&all, (const uint8_t *)text, size);
        mem_free(text);
        mem_free(name);
    }
    image_take_words(meta, &all, true);
}
