/* Inside the emulation: device memory, streams, and fibers that play a block's threads.
 *
 *     emu::check_device(p, "linear's x");        // aborts where p is no device memory
 *     emu::enqueue(stream, [=] { ... });         // runs when something waits for the stream
 *     emu::launch(grid, block, shared, stream, [=] { kernel(args...); });
 *
 * A block's threads are fibers of the calling thread: each runs until a barrier or a warp's
 * exchange, then the next one does, in an order that is another one for each launch (forward,
 * backward, shuffled). A result that depends on it is a race. */
#ifndef EIDETIC_CUDA_EMULATION_CUH
#define EIDETIC_CUDA_EMULATION_CUH

#include "cuda_emulation/cuda_runtime_api.h"
#include <functional>
#include <type_traits>

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_)
    {
    }
};

namespace emu
{

[[noreturn]] void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void check_device(const void *p, const char *what);
void enqueue(cudaStream_t s, std::function<void()> f);
void run_all(cudaStream_t s);
/* Of one block, or of all where p is null; forget: its values become NaN. */
void check_guards(const void *p, bool forget);
bool capturing(cudaStream_t s);
cudaError_t capture_alloc(void **p, size_t bytes, cudaStream_t s);
cudaError_t capture_free(void *p, cudaStream_t s);
cudaError_t launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t s,
                   std::function<void()> thread);

/* What a fiber sees. */
struct self {
    dim3 thread, block, block_dim, grid_dim;
    int lane;
    unsigned shared_next; /* the next static shared array's place */
};
extern thread_local self *current;

void barrier(const char *file, int line);
/* Gives `value` to the warp; returns all 32 lanes' once every lane of the mask is here. */
const uint64_t *exchange(unsigned mask, uint64_t value, const char *file, int line);
void *dynamic_shared();
void *static_shared(size_t bytes);
/* cp.async: bytes that become visible by wait. */
void async_copy(void *to, const void *from, unsigned bytes, unsigned valid);
void async_commit();
void async_wait(int groups_left);
extern int convolutions; /* that cuDNN was asked for */
void check_aligned(const void *p, size_t align, const char *what);

template <class T> void check_argument(const T &a, const char *kernel)
{
    if constexpr (std::is_pointer_v<T>) {
        if (a)
            check_device(a, kernel);
    }
}

template <class... P, class... A>
cudaError_t launch_kernel(const char *name, void (*k)(P...), dim3 grid, dim3 block, size_t shared,
                          cudaStream_t s, A... args)
{
    (check_argument(args, name), ...);
    return launch(name, grid, block, shared, s, [=] { k(args...); });
}

} // namespace emu

#endif
