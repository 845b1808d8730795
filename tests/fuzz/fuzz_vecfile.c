/* Any bytes as a vector file. The first byte says whether the checksums are put right first, since
 * otherwise hardly any input would get past them. */
#include "core/mem.h"
#include "search/vecfile.h"
#include "tests/fuzz/structure.h"
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#define DIM 3

static void put_u64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

static void repair(uint8_t *d, size_t n)
{
    if (n < VECFILE_HEADER)
        return;
    put_u64(d + VECFILE_HEADER - 8, XXH3_64bits(d, VECFILE_HEADER - 8));
    for (size_t at = VECFILE_HEADER; n - at >= VECFILE_BLOCK_HEADER;) {
        uint64_t bytes;
        memcpy(&bytes, d + at + 16, sizeof bytes);
        if (bytes > n - at - VECFILE_BLOCK_HEADER)
            bytes = 0;
        put_u64(d + at + 40, XXH3_64bits(d + at + VECFILE_BLOCK_HEADER, bytes));
        put_u64(d + at + VECFILE_BLOCK_HEADER - 8,
                XXH3_64bits_withSeed(d + at, VECFILE_BLOCK_HEADER - 8, at));
        at += VECFILE_BLOCK_HEADER + bytes;
    }
}

static void use(const struct vecfile *f)
{
    uint64_t sum = 0;
    size_t rows = 0;
    for (size_t b = 0; b < f->n_blocks; b++) {
        const struct vec_block *k = &f->blocks[b];
        for (size_t i = 0; i < k->n; i++) {
            size_t row = k->first + i, block;
            sum += (uint64_t)k->images[i] + (uint64_t)k->gens[i];
            sum += f->dead ? f->dead[row / 8] >> row % 8 & 1 : 0;
            for (int j = 0; j < f->dim; j++)
                sum += ((const uint16_t *)k->rows)[i * (size_t)f->dim + (size_t)j];
            sum += vec_find(f->blocks, f->n_blocks, k->gens[i], &block);
        }
        rows += k->n;
    }
    sum += vec_first_after(f->blocks, f->n_blocks, (int64_t)sum);
    if (rows != f->n_rows || f->n_dead > rows || f->end > f->map.size)
        __builtin_trap();
    __asm__ volatile("" : : "r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t *copy = mem_dup(data, size); /* the checksums are put right in a copy */
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (!copy || fd < 0)
        goto out;
    if (data[0] & 1)
        repair(copy + 1, size - 1);
    if (write(fd, copy + 1, size - 1) == (ssize_t)(size - 1)) {
        char path[32];
        struct vecfile f;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (vecfile_open(&f, path, "abc", DIM, NULL) == ST_OK) {
            use(&f);
            (void)vecfile_verify(&f, NULL);
            vecfile_close(&f);
        }
    }
out:
    if (fd >= 0)
        close(fd);
    mem_free(copy);
    return 0;
}

FUZZ_STRUCTURE(grammar_vecfile)
