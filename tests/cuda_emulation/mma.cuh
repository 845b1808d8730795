/* Tensor cores on the CPU: nn/cuda/device/mma.cuh has the same names as inline PTX. The fragments
 * lie over a warp's lanes element by element as the PTX manual's figures for mma.m16n8k16 and
 * ldmatrix have them; sums are in f32, in index order. */
#ifndef EIDETIC_CUDA_MMA_CUH
#define EIDETIC_CUDA_MMA_CUH

#include "cuda_emulation/platform.cuh"

namespace emu
{
/* All lanes' n words: what lane l gave as its i-th is all[i][l]. */
template <int N> void gather(uint32_t all[N][32], const uint32_t *own)
{
    for (int i = 0; i < N; i += 2) {
        uint64_t two = own[i] | (uint64_t)(i + 1 < N ? own[i + 1] : 0) << 32;
        const uint64_t *v = exchange(0xFFFFFFFFu, two, __FILE__, __LINE__);
        for (int l = 0; l < 32; l++) {
            all[i][l] = (uint32_t)v[l];
            if (i + 1 < N)
                all[i + 1][l] = (uint32_t)(v[l] >> 32);
        }
    }
}
template <bool F16> float half_of(uint32_t word, int high)
{
    uint16_t h = (uint16_t)(word >> 16 * high);
    return F16 ? f16_to_f32(h) : bf16_to_f32(h);
}

/* d[16,8] += a[16,16] . b[16,8]; factors of 16 bits, f32 sums. With g = lane / 4 and t = lane % 4:
 * a[0] holds row g, columns 2t and 2t+1; a[1] row g+8; a[2] and a[3] the same 8 columns on;
 * b[0] column g, rows 2t and 2t+1; b[1] rows 8 on; d[0], d[1] row g, columns 2t and 2t+1; d[2],
 * d[3] row g+8. */
template <bool F16> void mma(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    uint32_t fa[4][32], fb[2][32];
    gather<4>(fa, a);
    gather<2>(fb, b);
    int g = current->lane / 4, t = current->lane % 4;
    for (int i = 0; i < 4; i++) {
        int row = g + 8 * (i / 2), col = 2 * t + i % 2;
        float sum = d[i];
        for (int k = 0; k < 16; k++) {
            int lane_a = row % 8 * 4 + k % 8 / 2, word_a = row / 8 + 2 * (k / 8);
            int lane_b = col * 4 + k % 8 / 2;
            sum += half_of<F16>(fa[word_a][lane_a], k % 2) * half_of<F16>(fb[k / 8][lane_b], k % 2);
        }
        d[i] = sum;
    }
}
} // namespace emu

static inline float cuda_exp2(float x)
{
    return exp2f(x);
}

static inline void mma_bf16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    emu::mma<false>(d, a, b);
}
static inline void mma_f16(float d[4], const uint32_t a[4], const uint32_t b[2])
{
    emu::mma<true>(d, a, b);
}

/* Four 8x8 matrices of 16-bit values: lanes 8i to 8i+7 name the rows of matrix i, 16 bytes each;
 * lane l gets of each matrix row l / 4, columns 2 (l % 4) and the next. */
static inline void ldmatrix_x4(uint32_t r[4], const void *row)
{
    emu::check_aligned(row, 16, "ldmatrix");
    const uint64_t *rows = emu::exchange(0xFFFFFFFFu, (uint64_t)(uintptr_t)row, __FILE__, __LINE__);
    int l = emu::current->lane;
    for (int i = 0; i < 4; i++)
        memcpy(&r[i], (const char *)(uintptr_t)rows[8 * i + l / 4] + 4 * (l % 4), 4);
}

/* The same, each matrix transposed: rows 2 (l % 4) and the next of column l / 4. */
static inline void ldmatrix_x4_trans(uint32_t r[4], const void *row)
{
    emu::check_aligned(row, 16, "ldmatrix");
    const uint64_t *rows = emu::exchange(0xFFFFFFFFu, (uint64_t)(uintptr_t)row, __FILE__, __LINE__);
    int l = emu::current->lane;
    for (int i = 0; i < 4; i++) {
        uint16_t two[2];
        for (int k = 0; k < 2; k++)
            memcpy(&two[k], (const char *)(uintptr_t)rows[8 * i + 2 * (l % 4) + k] + 2 * (l / 4),
                   2);
        r[i] = two[0] | (uint32_t)two[1] << 16;
    }
}

/* Sixteen bytes to shared memory, those beyond `valid` zeros; there after the wait, not before. */
static inline void cp_async16(void *to, const void *from, unsigned valid)
{
    emu::async_copy(to, from, 16, valid);
}
static inline void cp_async_commit()
{
    emu::async_commit();
}
template <int LEFT> static inline void cp_async_wait()
{
    emu::async_wait(LEFT);
}

#endif
