/* Shared memory that one picture is handed over in. The parent maps it read-only, and a seal keeps
 * the worker from shrinking it under the parent's eyes, which would end the parent with SIGBUS. */
#include "image/decoder_int.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A slot of changing size that grew beyond this is not kept. */
#define SLOT_KEEP ((size_t)32 << 20)

/* bytes 0: starts empty, the worker lets it grow. */
enum status decoder_slot_open(struct decoder_slot *s, size_t bytes, struct error *err)
{
    int seals = F_SEAL_SHRINK | F_SEAL_SEAL | (bytes ? F_SEAL_GROW : 0);
    *s = (struct decoder_slot){.memfd =
                                   memfd_create("eidetic-pixels", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (s->memfd < 0)
        return error_errno(err, errno, "cannot make shared memory");
    if (ftruncate(s->memfd, (off_t)bytes) || fcntl(s->memfd, F_ADD_SEALS, seals)) {
        enum status st = error_errno(err, errno, "cannot make %zu bytes of shared memory", bytes);
        decoder_slot_close(s);
        return st;
    }
    return ST_OK;
}

static void unmap(struct decoder_slot *s)
{
    if (s->map)
        munmap((void *)(uintptr_t)s->map, s->mapped);
    s->map = NULL;
    s->mapped = 0;
}

void decoder_slot_close(struct decoder_slot *s)
{
    unmap(s);
    if (s->memfd >= 0)
        close(s->memfd);
    s->memfd = -1;
}

uint64_t decoder_slot_size(const struct decoder_slot *s)
{
    struct stat sb;
    return s->memfd < 0 || fstat(s->memfd, &sb) || sb.st_size < 0 ? 0 : (uint64_t)sb.st_size;
}

const uint8_t *decoder_slot_view(struct decoder_slot *s, size_t n)
{
    if (s->mapped < n) {
        unmap(s);
        if (decoder_slot_size(s) < n)
            return NULL;
        void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, s->memfd, 0);
        if (p == MAP_FAILED)
            return NULL;
        s->map = p;
        s->mapped = n;
    }
    return s->map;
}

enum status decoder_slot_trim(struct decoder_slot *s, struct error *err)
{
    if (s->memfd >= 0 && decoder_slot_size(s) <= SLOT_KEEP)
        return ST_OK;
    decoder_slot_close(s);
    return decoder_slot_open(s, 0, err);
}
