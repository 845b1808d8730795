/* Everything that may fail under the program, made to fail: memory, reads, writes, syncs, renames,
 * and what SQLite asks of the system.
 *
 *     faults_init();                              // before SQLite is used
 *     faults_arm(FAULT_SQLITE_WRITE, 7, false);   // the 7th from now on fails, once
 *     ...
 *     bool fired = faults_disarm() >= 7;
 *
 * Static functions: each test is one program. */
#ifndef EIDETIC_TESTS_FAULTS_H
#define EIDETIC_TESTS_FAULTS_H

#include "core/file.h"
#include "core/mem.h"
#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>

enum fault {
    FAULT_MEMORY,
    FAULT_READ,
    FAULT_WRITE,
    FAULT_FSYNC,
    FAULT_RENAME,
    FAULT_SQLITE_MEMORY,
    FAULT_SQLITE_OPEN,
    FAULT_SQLITE_READ,
    FAULT_SQLITE_WRITE,
    FAULT_SQLITE_FULL,
    FAULT_SQLITE_SYNC,
    FAULT_KINDS
};
static const char *const fault_names[FAULT_KINDS] = {
    "memory",      "read",        "write",        "fsync",       "rename",     "sqlite memory",
    "sqlite open", "sqlite read", "sqlite write", "sqlite full", "sqlite sync"};

static struct {
    enum fault kind;
    uint64_t at; /* 0 = off */
    bool persistent;
    atomic_uint_fast64_t calls;
    sqlite3_mem_methods mem;
    sqlite3_vfs vfs;
    struct {
        const sqlite3_io_methods
            *io; /* of the system's own files: others for a WAL than for a db */
        sqlite3_io_methods ours;
    } kinds[4];
} faults;

static bool fault_fires(enum fault kind)
{
    if (!faults.at || faults.kind != kind)
        return false;
    uint64_t call = atomic_fetch_add(&faults.calls, 1) + 1;
    return call == faults.at || (call > faults.at && faults.persistent);
}

static void *fault_malloc(int n)
{
    return fault_fires(FAULT_SQLITE_MEMORY) ? NULL : faults.mem.xMalloc(n);
}
static void *fault_realloc(void *p, int n)
{
    return fault_fires(FAULT_SQLITE_MEMORY) ? NULL : faults.mem.xRealloc(p, n);
}
static const sqlite3_io_methods *fault_io(const sqlite3_file *f)
{
    size_t i = 0;
    while (f->pMethods != &faults.kinds[i].ours)
        i++;
    return faults.kinds[i].io;
}
static int fault_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return fault_fires(FAULT_SQLITE_READ) ? SQLITE_IOERR_READ : fault_io(f)->xRead(f, to, n, at);
}
static int fault_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    if (fault_fires(FAULT_SQLITE_WRITE))
        return SQLITE_IOERR_WRITE;
    return fault_fires(FAULT_SQLITE_FULL) ? SQLITE_FULL : fault_io(f)->xWrite(f, from, n, at);
}
static int fault_sync(sqlite3_file *f, int flags)
{
    return fault_fires(FAULT_SQLITE_SYNC) ? SQLITE_IOERR_FSYNC : fault_io(f)->xSync(f, flags);
}
static int fault_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
    (void)v;
    f->pMethods = NULL;
    if (fault_fires(FAULT_SQLITE_OPEN))
        return SQLITE_CANTOPEN;
    int rc = faults.vfs.xOpen(&faults.vfs, name, f, flags, out);
    for (size_t i = 0; rc == SQLITE_OK && f->pMethods; i++) {
        assert(i < sizeof faults.kinds / sizeof *faults.kinds);
        if (!faults.kinds[i].io) {
            faults.kinds[i].io = f->pMethods;
            faults.kinds[i].ours = *f->pMethods;
            faults.kinds[i].ours.xRead = fault_read;
            faults.kinds[i].ours.xWrite = fault_write;
            faults.kinds[i].ours.xSync = fault_sync;
        }
        if (faults.kinds[i].io == f->pMethods) {
            f->pMethods = &faults.kinds[i].ours;
            break;
        }
    }
    return rc;
}

static inline void faults_init(void)
{
    static sqlite3_vfs ours;
    sqlite3_mem_methods m;
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &faults.mem);
    m = faults.mem;
    m.xMalloc = fault_malloc;
    m.xRealloc = fault_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &m);
    sqlite3_config(SQLITE_CONFIG_LOG, (void (*)(void *, int, const char *))NULL, (void *)NULL);
    faults.vfs = *sqlite3_vfs_find(NULL);
    ours = faults.vfs;
    ours.zName = "faults";
    ours.xOpen = fault_open;
    sqlite3_vfs_register(&ours, 1);
}

static inline void faults_arm(enum fault kind, uint64_t n, bool persistent)
{
    static const unsigned mask[] = {[FAULT_READ] = FILE_OP_READ,
                                    [FAULT_WRITE] = FILE_OP_WRITE,
                                    [FAULT_FSYNC] = FILE_OP_FSYNC,
                                    [FAULT_RENAME] = FILE_OP_RENAME};
    faults.kind = kind;
    faults.persistent = persistent;
    atomic_store(&faults.calls, 0);
    if (kind == FAULT_MEMORY)
        mem_fail_at(n, persistent);
    else if (kind <= FAULT_RENAME)
        file_fail_at(n, mask[kind], kind == FAULT_WRITE ? ENOSPC : EIO, persistent);
    else
        faults.at = n;
}

/* How many calls of the kind there were. */
static inline uint64_t faults_disarm(void)
{
    faults.at = 0;
    uint64_t memory = mem_fail_at(0, false), file = file_fail_at(0, 0, 0, false);
    return faults.kind == FAULT_MEMORY   ? memory
           : faults.kind <= FAULT_RENAME ? file
                                         : (uint64_t)atomic_load(&faults.calls);
}

#endif
