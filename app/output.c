/* Results: JSON lines and safely printed paths. */
#include "app/app.h"
#include "core/file.h"
#include "db/tags.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* s with every invalid byte as U+FFFD, so that JSON can hold it. */
static char *to_utf8(const char *s)
{
    struct buf b;
    size_t n = strlen(s);
    buf_init(&b, 3 * n + 1);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        char enc[4];
        i += utf8_decode(s + i, n - i, &cp);
        buf_append(&b, enc, utf8_encode(cp, enc));
    }
    return buf_take(&b);
}

json_t *json_text(const char *s)
{
    if (!s || !s[0])
        return json_null();
    json_t *j = json_string(s); /* NULL where it is not UTF-8 */
    char *clean = j ? NULL : to_utf8(s);
    if (clean)
        j = json_string(clean);
    mem_free(clean);
    return j;
}

int json_set_path(json_t *object, const char *path)
{
    int rc = json_object_set_new(object, "path", json_text(path));
    if (utf8_valid(path, strlen(path)))
        return rc;
    struct buf hex;
    buf_init(&hex, 1 << 20);
    for (const unsigned char *s = (const unsigned char *)path; *s; s++)
        buf_printf(&hex, "%02x", *s);
    rc |= json_object_set_new(object, "path_hex", json_string(hex.data ? hex.data : ""));
    buf_release(&hex);
    return rc;
}

json_t *json_real6(double v)
{
    return isfinite(v) ? json_real(round(v * 1e6) / 1e6) : json_null();
}

json_t *json_tags(const struct db_tags *t)
{
    json_t *list = json_array();
    for (size_t i = 0; i < t->n; i++)
        json_array_append_new(list, json_pack("{s:o s:o}", "tag", json_text(t->tag[i].tag), "score",
                                              json_real6(t->tag[i].score)));
    return list;
}

int app_check_stdout(struct app *a)
{
    errno = 0; /* ferror may be of an earlier write; what failed then fails again in fflush */
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    if (errno == EPIPE) /* the reader has seen enough: `... | head` */
        return 1;
    error_errno(&a->err, errno ? errno : EIO, "standard output");
    return app_fail(a, APP_FILE);
}

/* A file is replaced whole, also one behind a link; what is none (a device, a pipe, a link to a
 * file that is to be) is written to. */
int app_write_output(struct app *a, const char *path, const void *data, size_t size)
{
    struct stat st;
    char *real = NULL;
    enum status rc;
    if (file_is_broken_link(path) ||
        (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
        FILE *f = fopen(path, "we");
        bool ok = f && fwrite(data, 1, size, f) == size;
        rc = f && fclose(f) == 0 && ok ? ST_OK : error_errno(&a->err, errno, "%s", path);
    } else {
        real = realpath(path, NULL);
        rc = file_write_atomic(real ? real : path, data, size, &a->err);
        free(real);
    }
    return rc ? app_fail(a, APP_LIBRARY) : 0;
}

int app_print_json(struct app *a, json_t *object)
{
    int rc = object ? json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) : -1;
    json_decref(object);
    if (rc && !ferror(stdout)) {
        error_set(&a->err, ST_NOMEM, "out of memory for the answer");
        return app_fail(a, APP_FILE);
    }
    putchar('\n');
    return app_check_stdout(a);
}

bool app_dumb_terminal(void)
{
    const char *term = getenv("TERM");
    return term && !strcmp(term, "dumb");
}

void print_path(FILE *out, const char *path)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_path_quoted(&b, path);
    fputs(b.data ? b.data : "\"?\"", out);
    buf_release(&b);
}

void print_plain_path(const char *path, bool null)
{
    if (null) {
        fputs(path, stdout);
        putchar(0);
        return;
    }
    if (isatty(STDOUT_FILENO)) { /* a person reads it: nothing that could move the cursor */
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_text_safe(&b, path);
        fputs(b.data ? b.data : "?", stdout);
        buf_release(&b);
    } else {
        fputs(path, stdout);
    }
    putchar('\n');
}
