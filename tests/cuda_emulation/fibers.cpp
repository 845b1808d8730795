/* A block's threads as fibers. The scheduler runs each until it waits; when all that live wait at
 * one barrier, it opens. Threads that wait in different places, or for one that has gone, are
 * reported: hardware would hang there, or compute something else. */
#include "cuda_emulation/emulation.cuh"
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace
{
/* Not a power of 2: stacks that lie a multiple of 4 KiB apart would share a set of the cache. */
enum { STACK = (128 << 10) + 64 * 17, STATIC_SHARED = 48 << 10, MAX_THREADS = 1024 };
enum state { READY, AT_BARRIER, IN_WARP, GONE };

struct pending_copy {
    void *to;
    const void *from;
    unsigned bytes, valid;
};

struct fiber {
    emu::self self;
    void *sp = nullptr;
    state st = READY;
    const char *file = "";
    int line = 0;
    std::vector<std::vector<pending_copy>> groups;
    std::vector<pending_copy> open;
};

struct warp {
    uint64_t slot[2][32];
    unsigned arrived = 0, generation = 0, mask = 0, alive = 0;
    const char *file = "";
    int line = 0;
};

struct scheduler {
    unsigned char *stacks = nullptr;
    std::vector<fiber> fibers;
    std::vector<unsigned> order; /* in which the launch runs them */
    std::vector<warp> warps;
    void *main_sp = nullptr;
    fiber *running = nullptr;
    const std::function<void()> *thread = nullptr;
    const char *kernel = "";
    std::vector<unsigned char> shared; /* static arrays, then the dynamic one */
    std::vector<size_t> places;        /* of the static arrays, in order of declaration */
    size_t static_used = 0, static_at = 0, dynamic_at = 0;
    const void *main_stack = nullptr;
    size_t main_stack_size = 0;
    ~scheduler()
    {
        if (stacks)
            munmap(stacks, (size_t)STACK * MAX_THREADS);
    }
};

thread_local std::unique_ptr<scheduler> the;
std::atomic<unsigned> launches{0};

#if defined(__x86_64__)
/* Saves the callee's registers on the old stack, takes them from the new one. */
extern "C" void eidetic_fiber_switch(void **save, void *load);
asm(R"(
.text
.globl eidetic_fiber_switch
.type eidetic_fiber_switch,@function
eidetic_fiber_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size eidetic_fiber_switch,.-eidetic_fiber_switch
)");

void entry();

void *new_stack(unsigned char *base)
{
    void **sp = (void **)(void *)(base + STACK) - 1; /* where a call would have left the stack */
    *sp = nullptr;
    *--sp = (void *)entry;
    for (int i = 0; i < 6; i++)
        *--sp = nullptr;
    return sp;
}
void switch_to(void **save, void *load)
{
    eidetic_fiber_switch(save, load);
}
#else
void entry();
thread_local std::vector<std::unique_ptr<ucontext_t>> contexts;

void *new_stack(unsigned char *base)
{
    contexts.emplace_back(new ucontext_t);
    ucontext_t *c = contexts.back().get();
    getcontext(c);
    c->uc_stack.ss_sp = base;
    c->uc_stack.ss_size = STACK;
    c->uc_link = nullptr;
    makecontext(c, entry, 0);
    return c;
}
void switch_to(void **save, void *load)
{
    ucontext_t here;
    *save = &here;
    swapcontext(&here, (ucontext_t *)load);
}
#endif

void leave(void **save, void *load, const void *stack, size_t size, bool last)
{
#if defined(__SANITIZE_ADDRESS__)
    void *fake = nullptr;
    __sanitizer_start_switch_fiber(last ? nullptr : &fake, stack, size);
    switch_to(save, load);
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#else
    (void)stack;
    (void)size;
    (void)last;
    switch_to(save, load);
#endif
}

void yield(state st, const char *file, int line)
{
    fiber *f = the->running;
    f->st = st;
    f->file = file;
    f->line = line;
    leave(&f->sp, the->main_sp, the->main_stack, the->main_stack_size, st == GONE);
}

void land(const std::vector<pending_copy> &group)
{
    for (const pending_copy &c : group) {
        memcpy(c.to, c.from, c.valid);
        memset((char *)c.to + c.valid, 0, c.bytes - c.valid);
    }
}

void entry()
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &the->main_stack, &the->main_stack_size);
#endif
    (*the->thread)();
    if (!the->running->open.empty() || !the->running->groups.empty())
        emu::fail("%s: a thread ends with an asynchronous copy that nothing has waited for",
                  the->kernel);
    yield(GONE, "", 0);
    abort();
}

void resume(size_t i)
{
    the->running = &the->fibers[i];
    emu::current = &the->running->self;
    leave(&the->main_sp, the->running->sp, the->stacks + i * STACK, STACK, false);
}

/* Nobody can go on: opens the barrier, or says what is wrong. */
void open_barrier()
{
    const fiber *first = nullptr;
    size_t gone = 0;
    for (const fiber &f : the->fibers) {
        gone += f.st == GONE;
        if (f.st == IN_WARP)
            emu::fail("%s: a warp's exchange at %s:%d waits for a lane that does not come",
                      the->kernel, f.file, f.line);
        if (f.st != AT_BARRIER)
            continue;
        if (first && (first->line != f.line || strcmp(first->file, f.file) != 0))
            emu::fail("%s: divergent __syncthreads: %s:%d and %s:%d", the->kernel, first->file,
                      first->line, f.file, f.line);
        first = &f;
    }
    if (first && gone)
        emu::fail("%s: divergent __syncthreads at %s:%d: %zu threads have returned", the->kernel,
                  first->file, first->line, gone);
    for (fiber &f : the->fibers)
        if (f.st == AT_BARRIER)
            f.st = READY;
}

/* The n-th launch's k-th thread: forward, backward, or shuffled by a full-period step. */
size_t order(unsigned launch, size_t n, size_t k)
{
    if (launch % 3 == 0)
        return k;
    if (launch % 3 == 1)
        return n - 1 - k;
    size_t step = 1 + 2 * (launch % 97);
    while (n > 1 && std::gcd(step, n) != 1)
        step += 2;
    return (k * step + launch) % n;
}

void run_block(size_t threads)
{
    size_t left = threads;
    while (left > 0) {
        bool ran = false;
        for (size_t k = 0; k < threads; k++) {
            size_t i = the->order[k];
            if (the->fibers[i].st != READY)
                continue;
            ran = true;
            resume(i);
            left -= the->fibers[i].st == GONE;
        }
        if (!ran)
            open_barrier();
    }
}

/* The first place from `at` on whose address is a multiple of 256. */
size_t aligned(size_t at)
{
    uintptr_t p = (uintptr_t)the->shared.data() + at;
    return at + (size_t)((256 - p % 256) % 256);
}

void begin_block(dim3 at, dim3 grid, dim3 dim, size_t threads, size_t shared)
{
    the->warps.assign((threads + 31) / 32, warp());
    the->places.clear();
    the->static_used = 0;
    the->shared.assign(STATIC_SHARED + shared + 3 * 256, 0xFF); /* NaN */
    the->static_at = aligned(0);
    the->dynamic_at = aligned(the->static_at + STATIC_SHARED);
#if !defined(__x86_64__)
    contexts.clear();
#endif
#if defined(__SANITIZE_ADDRESS__)
    /* Threads that are gone have left their frames' red zones. */
    __asan_unpoison_memory_region(the->stacks, (size_t)STACK * threads);
#endif
    for (size_t i = 0; i < threads; i++) {
        fiber &f = the->fibers[i];
        f.self.thread =
            dim3((unsigned)i % dim.x, (unsigned)i / dim.x % dim.y, (unsigned)i / dim.x / dim.y);
        f.self.block = at;
        f.self.block_dim = dim;
        f.self.grid_dim = grid;
        f.self.lane = (int)(i % 32);
        f.self.shared_next = 0;
        f.st = READY;
        the->warps[i / 32].alive |= 1u << i % 32;
        f.sp = new_stack(the->stacks + i * STACK);
    }
}

void end_block(size_t shared)
{
    for (size_t i = 0; i < 128; i++)
        if (the->shared[the->dynamic_at + shared + i] != 0xFF)
            emu::fail("%s: a write behind its dynamic shared memory of %zu bytes", the->kernel,
                      shared);
}

void run_grid(const char *name, dim3 grid, dim3 block, size_t shared,
              const std::function<void()> &thread)
{
    size_t threads = (size_t)block.x * block.y * block.z;
    if (!the) {
        the.reset(new scheduler);
        the->stacks =
            (unsigned char *)mmap(nullptr, (size_t)STACK * MAX_THREADS, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (the->stacks == MAP_FAILED)
            emu::fail("no memory for stacks");
    }
    unsigned launch = launches++;
    the->fibers.resize(threads);
    the->order.resize(threads);
    for (size_t k = 0; k < threads; k++)
        the->order[k] = (unsigned)order(launch, threads, k);
    the->thread = &thread;
    the->kernel = name;
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                begin_block(dim3(x, y, z), grid, block, threads, shared);
                run_block(threads);
                end_block(shared);
            }
}
} // namespace

thread_local emu::self *emu::current = nullptr;

cudaError_t emu::launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t s,
                        std::function<void()> thread)
{
    size_t threads = (size_t)block.x * block.y * block.z;
    if (threads == 0 || threads > MAX_THREADS || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
        grid.y > 65535 || grid.z > 65535 || grid.x > 0x7FFFFFFF || shared > (99 << 10))
        return cudaErrorInvalidValue;
    enqueue(s, [=] { run_grid(name, grid, block, shared, thread); });
    return cudaSuccess;
}

void emu::barrier(const char *file, int line)
{
    yield(AT_BARRIER, file, line);
}

const uint64_t *emu::exchange(unsigned mask, uint64_t value, const char *file, int line)
{
    fiber *f = the->running;
    size_t i = (size_t)(f - the->fibers.data()), w0 = i / 32 * 32;
    warp &w = the->warps[i / 32];
    unsigned bit = 1u << f->self.lane;
    if (!(mask & bit))
        fail("%s: %s:%d: a lane exchanges under a mask that leaves it out", the->kernel, file,
             line);
    if ((mask & ~w.alive) != 0)
        fail("%s: %s:%d: a mask names lanes that the block does not have", the->kernel, file, line);
    if (w.arrived == 0) {
        w.mask = mask;
        w.file = file;
        w.line = line;
    } else if (w.mask != mask || w.line != line || strcmp(w.file, file) != 0) {
        fail("%s: lanes of one warp exchange at %s:%d and %s:%d", the->kernel, w.file, w.line, file,
             line);
    }
    uint64_t *slot = w.slot[w.generation & 1];
    slot[f->self.lane] = value;
    w.arrived |= bit;
    if (w.arrived == mask) {
        w.arrived = 0;
        w.generation++;
        for (size_t k = w0; k < w0 + 32 && k < the->fibers.size(); k++)
            if (the->fibers[k].st == IN_WARP)
                the->fibers[k].st = READY;
    } else {
        yield(IN_WARP, file, line);
    }
    return slot;
}

void *emu::dynamic_shared()
{
    return the->shared.data() + the->dynamic_at;
}

void *emu::static_shared(size_t bytes)
{
    unsigned k = current->shared_next++;
    if (k == the->places.size()) {
        the->places.push_back(the->static_used);
        the->static_used += (bytes + 16 + 15) / 16 * 16;
        if (the->static_used > STATIC_SHARED)
            fail("%s: more than %d bytes of static shared memory", the->kernel, STATIC_SHARED);
    }
    return the->shared.data() + the->static_at + the->places[k];
}

void emu::async_copy(void *to, const void *from, unsigned bytes, unsigned valid)
{
    if (valid)
        check_device((const char *)from + valid, "cp.async's source");
    check_aligned(to, bytes, "cp.async's destination");
    if (valid)
        check_aligned(from, bytes, "cp.async's source");
    the->running->open.push_back({to, from, bytes, valid});
}

void emu::async_commit()
{
    fiber *f = the->running;
    f->groups.push_back(std::move(f->open));
    f->open.clear();
}

void emu::async_wait(int groups_left)
{
    fiber *f = the->running;
    while (f->groups.size() > (size_t)groups_left) {
        land(f->groups.front());
        f->groups.erase(f->groups.begin());
    }
}

void emu::check_aligned(const void *p, size_t align, const char *what)
{
    if ((uintptr_t)p % align != 0)
        fail("%s: %s at %p is not aligned to %zu bytes", the ? the->kernel : "", what, p, align);
}
