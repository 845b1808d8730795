/* What the parent and its decode workers say to each other; private to image/.
 *
 * One SOCK_SEQPACKET pair a worker, on descriptor 3 in the worker. The worker first sends a reply
 * with serial 0 (hello). Then the parent sends requests, each with two descriptors (the opened
 * file, the slot's memfd) and one for each sidecar, and the worker answers them in order. Both ends
 * are the same binary, so the structs need no packing; the parent still believes nothing that a
 * reply says. */
#ifndef EIDETIC_IMAGE_DECODER_INT_H
#define EIDETIC_IMAGE_DECODER_INT_H

#include "image/codec.h"
#include "image/decoder.h"
#include <sys/types.h>

#define DECODER_WORKER_FD 3
#define DECODER_MAGIC UINT32_C(0x45644463)
#define DECODER_TEST_ENV                                                                           \
    "EIDETIC_TEST_DECODER" /* makes files that start with the words below misbehave */
#define DECODER_TEST_WORD "EIDETIC-TEST-" /* then abort, hang, exit, open, fork, memory or leak */

struct decoder_request {
    uint32_t magic, serial;
    struct decoder_prep prep;
    uint64_t max_pixels;
    uint64_t file_bytes; /* as the parent saw it */
    uint64_t slot_bytes; /* the slot's size now */
    int timeout_ms;
    uint64_t sidecar_bytes[IMAGE_SIDECARS]; /* 0 = none, and no descriptor of it */
    bool hash, words_only;                  /* nothing is decoded */
    char name[IMAGE_NAME_CAP];
};

struct decoder_reply {
    uint32_t magic, serial;
    int32_t status;
    int32_t width, height;
    uint8_t has_hash, sandboxed;
    uint8_t last; /* the worker ends after it: too much memory was not given back */
    uint8_t hash[16];
    char text[256];
    struct image_meta meta;
};

/* What a worker's libraries may fail to give back of earlier files before it is replaced: less than
 * the limit of its memory leaves free (decoder_sandbox.c). */
#define DECODER_LEAK_MAX ((size_t)48 << 20)

enum { DECODER_FDS = 2 + IMAGE_SIDECARS }; /* picture, slot, sidecars in order */

/* decoder_job.c: reads the file and its sidecars, hashes, decodes, prepares; fills r but for magic
 * and serial. fds[1] is not touched. out is zeroed on failure, and where nothing is decoded. */
void decoder_work(struct decoder_reply *r, struct image *out, const struct decoder_request *q,
                  const int fds[DECODER_FDS]);

/* decoder_reply.c: false when the reply cannot be true; otherwise its texts are one line of UTF-8
 * each and its numbers within bounds. */
bool decoder_reply_check(struct decoder_reply *r, const struct decoder_request *q);

/* decoder_sandbox.c, called in the worker. */
bool decoder_sandbox_enter(uint64_t max_pixels);    /* true: system calls are filtered */
void decoder_sandbox_allow_seconds(int timeout_ms); /* of CPU time from now on */
bool decoder_sandbox_silent(void);                  /* stderr goes to /dev/null */
size_t decoder_sandbox_memory(void);                /* allocated now; 0 in sanitizer builds */

/* decoder_proc.c: one worker process as the parent sees it. */
struct decoder_proc {
    pid_t pid; /* 0 = none */
    int sock;  /* -1 = none */
    bool hello, sandboxed;
};
enum status decoder_proc_start(struct decoder_proc *p, const char *exe, uint64_t max_pixels,
                               struct error *err);
/* Kills, reaps and closes; returns waitpid's status word, or -1. */
int decoder_proc_stop(struct decoder_proc *p, bool gently);
bool decoder_proc_send(struct decoder_proc *p, const struct decoder_request *q,
                       const int fds[DECODER_FDS]);
/* How many descriptors go with a request. */
int decoder_request_fds(const struct decoder_request *q);
/* 1 = a reply, 0 = none yet, -1 = the worker is gone or talks nonsense. */
int decoder_proc_receive(struct decoder_proc *p, struct decoder_reply *r);

/* decoder_slot.c: shared memory that one picture is handed over in. */
struct decoder_slot {
    int memfd; /* -1 = none */
    const uint8_t *map;
    size_t mapped;
};
enum status decoder_slot_open(struct decoder_slot *s, size_t bytes, struct error *err);
void decoder_slot_close(struct decoder_slot *s);
/* The first n bytes as the worker left them; NULL if the slot is shorter. */
const uint8_t *decoder_slot_view(struct decoder_slot *s, size_t n);
uint64_t decoder_slot_size(const struct decoder_slot *s);
/* After use: gives a large slot of changing size back to the system. */
enum status decoder_slot_trim(struct decoder_slot *s, struct error *err);

#endif
