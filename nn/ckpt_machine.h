/* The pickle machine's state, for its two files ckpt_pickle.c (data) and ckpt_object.c (classes).
 *
 *     bool op_x(struct pickle_machine *m) { return pickle_push(m, pickle_value(m, PK_NONE)); }
 *
 * An opcode returns false after filling m->err; values and arrays live in the arena. */
#ifndef EIDETIC_NN_CKPT_MACHINE_H
#define EIDETIC_NN_CKPT_MACHINE_H

#include "nn/ckpt_int.h"

#define PICKLE_WORD_MAX 1024 /* bytes of a module or class name */

struct pickle_machine {
    const uint8_t *p, *end;
    struct arena *mem;
    struct pk *slab; /* values are cut from slabs, since the arena rounds each piece up */
    size_t slab_left;
    struct pk **stack;
    size_t n, cap;
    size_t *mark; /* stack heights */
    size_t nmark, mark_cap;
    struct pk **memo;
    size_t nmemo, memo_cap; /* nmemo: one past the highest index */
    size_t ops;
    struct pk_notes *notes;
    const char *label;
    struct error *err;
    bool done;
};

void pickle_error(struct pickle_machine *m, enum status st, const char *what);
static inline bool pickle_fail(struct pickle_machine *m, enum status st, const char *what)
{
    pickle_error(m, st, what);
    return false;
}
void *pickle_alloc(struct pickle_machine *m, size_t n, size_t size);
struct pk *pickle_value(struct pickle_machine *m, enum pk_kind kind); /* NULL: no memory */
bool pickle_push(struct pickle_machine *m, struct pk *v);             /* passes a NULL on */
/* NULL (and an error) when the stack holds no value above the last mark. */
struct pk *pickle_pop(struct pickle_machine *m);
struct pk *pickle_top(struct pickle_machine *m);
bool pickle_append(struct pickle_machine *m, struct pk *seq, struct pk *const *v, size_t n);

bool pickle_global(struct pickle_machine *m);
bool pickle_stack_global(struct pickle_machine *m);
bool pickle_reduce(struct pickle_machine *m, bool keywords);
bool pickle_build(struct pickle_machine *m);
bool pickle_persistent(struct pickle_machine *m);

#endif
