/* Any bytes as the picture and as the video of a live photo. */
#include "core/file.h"
#include "image/live.h"
#include "tests/fuzz/structure.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], id[IMAGE_LIVE_ID];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!file_pwrite_all(fd, data, size, 0, path, NULL)) {
        image_live_id(id, path);
        image_live_video_id(id, path);
    }
    close(fd);
    return 0;
}

FUZZ_STRUCTURE(grammar_bmff)
