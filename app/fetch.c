/* Downloads that survive being cut off. Surprising: a server may answer a wish for the rest with
 * the whole file, or with a part that begins elsewhere; only "206" with the right Content-Range
 * goes on, anything else starts again. libcurl is loaded when it is needed (core/library.h). */
#include "app/fetch.h"
#include "app/file_hash.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/library.h"
#include "core/mem.h"
#define CURL_DISABLE_TYPECHECK /* whose macros want the functions themselves */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 4, ETAG_MAX = 200, CHUNK = 1 << 16 };

#define CALLS(X)                                                                                   \
    X(curl_global_init)                                                                            \
    X(curl_easy_init)                                                                              \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_perform)                                                                           \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_strerror)                                                                          \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)

struct curl {
    CALLS(LIBRARY_FIELD)
};

struct connection {
    struct curl lib;
    CURL *h;
};

struct transfer {
    const struct fetch *f;
    struct connection c;
    int fd;
    const char *name; /* for messages */
    char *part, *etag_path;
    struct sha256_ctx hash;
    uint64_t have, total, resumed;
    char etag[ETAG_MAX];
    int64_t range_start; /* of this answer; -1: it has no Content-Range */
    bool begun;          /* this answer's body */
    enum status status;  /* of writing */
    struct error *err;
};

static bool stopped(const struct fetch *f)
{
    return f->stop && *f->stop;
}

/* With the options that every request has. */
static enum status connection_open(struct connection *c, const char *url, struct error *err)
{
    static const char *const names[] = {CALLS(LIBRARY_NAME)};
    bool safe = strncasecmp(url, "https://", 8) == 0;
    if (!safe && strncasecmp(url, "http://", 7) != 0)
        return error_set(err, ST_USAGE, "%.200s: only http and https addresses are fetched", url);
    if (!library_open(&c->lib, LIBCURL_SONAME, names, sizeof names / sizeof *names))
        return error_set(err, ST_UNSUPPORTED, "%.200s: fetching needs " LIBCURL_SONAME, url);
    const struct curl *l = &c->lib;
    CURL *h = c->h = l->curl_global_init(CURL_GLOBAL_DEFAULT) ? NULL : l->curl_easy_init();
    const char *redirected = safe ? "https" : "http,https";
    bool ok = h && !l->curl_easy_setopt(h, CURLOPT_URL, url) &&
              !l->curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https") &&
              !l->curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, redirected) &&
              !l->curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 1L) &&
              !l->curl_easy_setopt(h, CURLOPT_MAXREDIRS, 8L) &&
              !l->curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L) &&
              !l->curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, 30L) &&
              !l->curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L) &&
              !l->curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, 60L) &&
              !l->curl_easy_setopt(h, CURLOPT_USERAGENT, "eidetic/" EIDETIC_VERSION);
    if (ok)
        return ST_OK;
    l->curl_easy_cleanup(h);
    return error_set(err, ST_NOMEM, "%.200s: the transfer cannot be set up", url);
}

static long answer_code(const struct connection *c)
{
    long code = 0;
    c->lib.curl_easy_getinfo(c->h, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

static enum status bad_answer(const char *url, long code, struct error *err)
{
    return error_set(err, code == 404 ? ST_NOT_FOUND : ST_IO, "%.200s: the server answers %ld", url,
                     code);
}

/* Every answer on the way sends its own headers; the last one's count. */
static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    char line[512];
    long long from = 0;
    snprintf(line, sizeof line, "%.*s", (int)(n * size < sizeof line ? n * size : sizeof line - 1),
             data);
    line[strcspn(line, "\r\n")] = 0;
    if (strncasecmp(line, "HTTP/", 5) == 0) {
        t->range_start = -1;
        t->etag[0] = 0;
    } else if (strncasecmp(line, "ETag:", 5) == 0) {
        const char *v = line + 5 + strspn(line + 5, " \t");
        if (*v == '"') /* a weak one (W/) proves nothing */
            snprintf(t->etag, sizeof t->etag, "%s", v);
    } else if (strncasecmp(line, "Content-Range:", 14) == 0 &&
               sscanf(line + 14, " bytes %lld-", &from) == 1) {
        t->range_start = from;
    }
    return n * size;
}

static enum status start_over(struct transfer *t)
{
    t->have = t->resumed = 0;
    sha256_init(&t->hash);
    return ftruncate(t->fd, 0) == 0 ? ST_OK : error_errno(t->err, errno, "%s", t->part);
}

/* What is known once the first bytes are there. */
static enum status begin_body(struct transfer *t, long code)
{
    curl_off_t left = -1;
    enum status st = ST_OK;
    if (code != 206 || t->range_start != (int64_t)t->have)
        st = code == 206 && t->range_start != 0
                 ? error_set(t->err, ST_IO, "%s: the server sends another part than was asked for",
                             t->name)
                 : start_over(t);
    t->c.lib.curl_easy_getinfo(t->c.h, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &left);
    t->total = left >= 0 ? t->have + (uint64_t)left : t->f->size;
    if (!st && t->f->size && t->total != t->f->size)
        st = error_set(t->err, ST_FORMAT, "%s: the server has %llu bytes, not %llu", t->name,
                       (unsigned long long)t->total, (unsigned long long)t->f->size);
    if (!st)
        st = t->etag[0] ? file_write_atomic(t->etag_path, t->etag, strlen(t->etag), t->err) : ST_OK;
    t->begun = true;
    return st;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    long code = answer_code(&t->c);
    if (code != 200 && code != 206)
        return n * size; /* an error page; the code is looked at afterwards */
    if (!t->begun)
        t->status = begin_body(t, code);
    if (!t->status && t->f->size && t->have + n * size > t->f->size)
        t->status = error_set(t->err, ST_FORMAT, "%s: more comes than the %llu bytes it has",
                              t->name, (unsigned long long)t->f->size);
    if (!t->status)
        t->status = file_pwrite_all(t->fd, data, n * size, t->have, t->part, t->err);
    if (t->status)
        return 0;
    sha256_update(&t->hash, n * size, (const uint8_t *)data);
    t->have += n * size;
    return n * size;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t up, curl_off_t sent)
{
    const struct transfer *t = ctx;
    (void)total, (void)now, (void)up, (void)sent;
    if (t->f->progress && t->begun)
        t->f->progress(t->f->ctx, t->have, t->total);
    return stopped(t->f);
}

/* Hashes what an earlier call left. */
static enum status take_up(struct transfer *t)
{
    struct stat st;
    char *chunk = mem_alloc(CHUNK), *etag = NULL;
    size_t n = 0;
    t->fd = open(t->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (!chunk || t->fd < 0 || fstat(t->fd, &st) || !S_ISREG(st.st_mode)) {
        int why = chunk ? errno : ENOMEM;
        mem_free(chunk);
        return error_errno(t->err, why, "%s", t->part);
    }
    enum status s = ST_OK;
    sha256_init(&t->hash);
    if (file_exists(t->etag_path) &&
        file_read_all(&etag, &n, t->etag_path, ETAG_MAX - 1, NULL) == ST_OK && n > 1 &&
        !memchr(etag, '\r', n) && !memchr(etag, '\n', n))
        memcpy(t->etag, etag, n + 1);
    else if (st.st_size > 0)
        s = start_over(t), st.st_size = 0; /* nothing says of which file it is the beginning */
    while (!s && t->have < (uint64_t)st.st_size) {
        uint64_t left = (uint64_t)st.st_size - t->have;
        size_t k = left < CHUNK ? (size_t)left : CHUNK;
        s = file_pread_all(t->fd, chunk, k, t->have, t->part, t->err);
        if (!s)
            sha256_update(&t->hash, k, (const uint8_t *)chunk);
        t->have += k;
    }
    t->resumed = t->have;
    mem_free(etag);
    mem_free(chunk);
    return s;
}

/* One request for what is missing. *again: it broke off, and another may bring more. */
static enum status request(struct transfer *t, const char *url, bool *again)
{
    char line[ETAG_MAX + 64];
    struct curl_slist *headers = NULL;
    enum status st = connection_open(&t->c, url, t->err);
    if (st)
        return st;
    const struct curl *l = &t->c.lib;
    CURL *h = t->c.h;
    uint64_t before = t->have;
    t->begun = false;
    if (t->have) {
        struct curl_slist *more;
        snprintf(line, sizeof line, "Range: bytes=%llu-", (unsigned long long)t->have);
        headers = l->curl_slist_append(NULL, line);
        snprintf(line, sizeof line, "If-Range: %s", t->etag);
        more = headers ? l->curl_slist_append(headers, line) : NULL;
        headers = more ? more : headers;
    }
    l->curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    l->curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    l->curl_easy_setopt(h, CURLOPT_HEADERDATA, t);
    l->curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    l->curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
    l->curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    l->curl_easy_setopt(h, CURLOPT_XFERINFODATA, t);
    l->curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    CURLcode rc = l->curl_easy_perform(h);
    long code = answer_code(&t->c);
    st = t->status;
    if (st)
        ;
    else if (stopped(t->f))
        st = error_set(t->err, ST_INTERRUPTED, "interrupted");
    else if (rc != CURLE_OK)
        st = error_set(t->err, ST_IO, "%.200s: %s", url, l->curl_easy_strerror(rc));
    else if (code == 416 && t->have)
        st = start_over(t); /* there was more than the file has */
    else if (code != 200 && code != 206)
        st = bad_answer(url, code, t->err);
    else if (!t->begun) /* an empty file */
        st = begin_body(t, code);
    *again = (rc != CURLE_OK && t->have > before && !t->status && !stopped(t->f)) ||
             (!st && code == 416);
    l->curl_slist_free_all(headers);
    l->curl_easy_cleanup(h);
    return st;
}

/* Gives the whole file its name, or takes a wrong one away. */
static enum status keep(struct transfer *t, const char *path, struct fetched *got)
{
    file_hash_hex(&t->hash, got->sha256);
    got->bytes = t->have;
    got->resumed = t->resumed;
    if (t->f->size && t->have != t->f->size)
        return error_set(t->err, ST_IO, "%s: %llu bytes came, not %llu", t->name,
                         (unsigned long long)t->have, (unsigned long long)t->f->size);
    if (t->f->sha256 && strcasecmp(got->sha256, t->f->sha256) != 0) {
        unlink(t->part);
        unlink(t->etag_path);
        return error_set(t->err, ST_FORMAT, "%s: its SHA-256 is %s, not %.64s; it was removed",
                         t->name, got->sha256, t->f->sha256);
    }
    enum status st = file_fsync(t->fd, t->part, t->err);
    if (!st && rename(t->part, path))
        st = error_errno(t->err, errno, "%s", path);
    if (!st)
        st = file_fsync_dir_of(path, t->err);
    if (!st)
        unlink(t->etag_path);
    return st;
}

enum status fetch_file(const struct fetch *f, const char *url, const char *path,
                       struct fetched *got, struct error *err)
{
    struct transfer t = {.f = f, .fd = -1, .name = path, .range_start = -1, .err = err};
    *got = (struct fetched){0};
    t.part = mem_printf("%s.part", path);
    t.etag_path = mem_printf("%s.part.etag", path);
    enum status st =
        t.part && t.etag_path ? take_up(&t) : error_set(err, ST_NOMEM, "%s: out of memory", path);
    bool again = !st && !(f->size && t.have == f->size && t.have); /* it may be whole already */
    for (int i = 0; again && i < TRIES; i++)
        st = request(&t, url, &again);
    if (!st)
        st = keep(&t, path, got);
    if (t.fd >= 0)
        close(t.fd);
    mem_free(t.part);
    mem_free(t.etag_path);
    return st;
}

struct text {
    struct buf b;
    struct connection c;
};

static size_t on_text(char *data, size_t size, size_t n, void *ctx)
{
    struct text *t = ctx;
    return buf_append(&t->b, data, n * size) ? n * size : 0;
}

enum status fetch_text(const char *url, size_t most, char **text, size_t *size, struct error *err)
{
    struct text t = {0};
    const struct curl *l = &t.c.lib;
    *text = NULL;
    enum status st = connection_open(&t.c, url, err);
    if (st)
        return st;
    buf_init(&t.b, most + 1);
    l->curl_easy_setopt(t.c.h, CURLOPT_WRITEFUNCTION, on_text);
    l->curl_easy_setopt(t.c.h, CURLOPT_WRITEDATA, &t);
    CURLcode rc = l->curl_easy_perform(t.c.h);
    long code = answer_code(&t.c);
    if (t.b.failed)
        st = error_set(err, ST_LIMIT, "%.200s: more than %zu bytes of text", url, most);
    else if (rc != CURLE_OK)
        st = error_set(err, ST_IO, "%.200s: %s", url, l->curl_easy_strerror(rc));
    else if (code != 200)
        st = bad_answer(url, code, err);
    l->curl_easy_cleanup(t.c.h);
    if (!st) {
        *size = t.b.len;
        *text = t.b.data ? buf_take(&t.b) : mem_strdup("");
        st = *text ? ST_OK : error_set(err, ST_NOMEM, "%.200s: out of memory", url);
    }
    buf_release(&t.b);
    return st;
}

enum status fetch_size(const char *url, uint64_t *size, struct error *err)
{
    struct connection c = {0};
    const struct curl *l = &c.lib;
    curl_off_t length = -1;
    *size = 0;
    enum status st = connection_open(&c, url, err);
    if (st)
        return st;
    l->curl_easy_setopt(c.h, CURLOPT_NOBODY, 1L);
    CURLcode rc = l->curl_easy_perform(c.h);
    long code = answer_code(&c);
    l->curl_easy_getinfo(c.h, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    l->curl_easy_cleanup(c.h);
    if (rc != CURLE_OK)
        return error_set(err, ST_IO, "%.200s: %s", url, l->curl_easy_strerror(rc));
    if (code != 200)
        return bad_answer(url, code, err);
    *size = length > 0 ? (uint64_t)length : 0;
    return ST_OK;
}
