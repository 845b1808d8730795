/* Patterns of names: marks are filled in, then each part between slashes is made a fit name. */
#include "app/generate_name.h"
#include "app/file_hash.h"
#include "core/buf.h"
#include "core/mem.h"
#include "core/path.h"
#include "image/image.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { PATTERN_MOST = 1000, VALUE_MOST = 128, PART_MOST = 200, WORDS_MOST = 8, DASHED_MOST = 48 };

enum mark {
    SEED,
    STEPS,
    CFG,
    WIDTH,
    HEIGHT,
    SAMPLER,
    SCHEDULER,
    MODEL_NAME,
    MODEL_HASH,
    VAE_NAME,
    CLIP_SKIP,
    DENOISING,
    DATE,
    DATETIME,
    PROMPT,
    PROMPT_SPACES,
    PROMPT_WORDS,
    PROMPT_HASH,
    NEGATIVE_HASH,
    FULL_HASH,
    NUMBER,
    NOTHING,
    DASHED,
};
static const struct {
    const char *name;
    enum mark mark;
} marks[] = {
    {"seed", SEED},
    {"steps", STEPS},
    {"cfg", CFG},
    {"width", WIDTH},
    {"height", HEIGHT},
    {"sampler", SAMPLER},
    {"scheduler", SCHEDULER},
    {"model_name", MODEL_NAME},
    {"model_hash", MODEL_HASH},
    {"vae_filename", VAE_NAME},
    {"clip_skip", CLIP_SKIP},
    {"denoising", DENOISING},
    {"date", DATE},
    {"datetime", DATETIME},
    {"job_timestamp", DATETIME},
    {"prompt", PROMPT},
    {"prompt_no_styles", PROMPT},
    {"prompt_spaces", PROMPT_SPACES},
    {"prompt_words", PROMPT_WORDS},
    {"prompt_hash", PROMPT_HASH},
    {"negative_prompt_hash", NEGATIVE_HASH},
    {"full_prompt_hash", FULL_HASH},
    {"batch_number", NUMBER},
    {"generation_number", NUMBER},
    {"none", NOTHING},
    {"words", DASHED},
};

/* What stands for a mark: at most VALUE_MOST bytes, nothing that a name cannot have. */
static void put_value(struct buf *b, const char *s, char blank)
{
    size_t start = b->len, n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t c;
        size_t k = utf8_decode(s + i, n - i, &c);
        if (b->len - start + k > VALUE_MOST)
            break;
        if (c == ' ')
            buf_putc(b, blank);
        else if (c < 0x20 || c == 0xFFFD || (c >= 0x7F && c < 0xA0) ||
                 (c < 0x80 && strchr("#<>:\"/\\|?*", (int)c)))
            buf_putc(b, '_');
        else
            buf_append(b, s + i, k);
        i += k;
    }
    while (b->len > start && strchr(" .", b->data[b->len - 1]))
        b->data[--b->len] = 0;
}

static bool in_word(uint32_t c)
{
    return c >= 0x80 ? c != 0xFFFD && c > 0x9F
                     : (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static void put_words(struct buf *b, const char *words, char gap, int most, size_t bytes)
{
    size_t start = b->len, n = strlen(words);
    bool between = true;
    for (size_t i = 0; i < n && b->len - start < bytes;) {
        uint32_t c;
        size_t k = utf8_decode(words + i, n - i, &c);
        if (in_word(c)) {
            if (between && most-- == 0)
                break;
            if (between && b->len > start)
                buf_putc(b, gap);
            buf_append(b, words + i, k);
        }
        between = !in_word(c);
        i += k;
    }
}

static void put_hash(struct buf *b, const char *one, const char *two)
{
    struct sha256_ctx h;
    char hex[65];
    sha256_init(&h);
    sha256_update(&h, strlen(one), (const uint8_t *)one);
    sha256_update(&h, strlen(two), (const uint8_t *)two);
    file_hash_hex(&h, hex);
    buf_printf(b, "%.8s", hex);
}

static void put_time(struct buf *b, const char *format)
{
    char text[VALUE_MOST + 1];
    time_t now = time(NULL);
    struct tm t;
    if (!localtime_r(&now, &t))
        t = (struct tm){.tm_year = 70, .tm_mday = 1};
    if (strftime(text, sizeof text, format, &t))
        put_value(b, text, ' ');
}

static void put_mark(struct buf *b, enum mark mark, const char *argument,
                     const struct generate_name_facts *f)
{
    const struct sampler_job *job = f->job;
    const char *words = f->words ? f->words : "";
    switch (mark) {
    case SEED:
        buf_printf(b, "%" PRIu64, job->seed);
        break;
    case STEPS:
        buf_printf(b, "%d", job->steps);
        break;
    case CFG:
        buf_printf(b, "%g", job->guidance);
        break;
    case WIDTH:
        buf_printf(b, "%d", job->width);
        break;
    case HEIGHT:
        buf_printf(b, "%d", job->height);
        break;
    case SAMPLER:
        put_value(b, job->solver->name, ' ');
        break;
    case SCHEDULER:
        put_value(b, job->schedule->name, ' ');
        break;
    case MODEL_NAME:
        put_value(b, f->checkpoint->name, ' ');
        break;
    case MODEL_HASH:
        buf_printf(b, "%.10s", f->model_hash ? f->model_hash : "");
        break;
    case VAE_NAME:
        put_value(b, f->checkpoint->vae_name ? f->checkpoint->vae_name : "", ' ');
        break;
    case CLIP_SKIP:
        buf_printf(b, "%d", job->clip_skip);
        break;
    case DENOISING:
        if (job->init)
            buf_printf(b, "%g", job->strength);
        break;
    case DATE:
        put_time(b, "%Y-%m-%d");
        break;
    case DATETIME:
        put_time(b, argument ? argument : "%Y%m%d%H%M%S");
        break;
    case PROMPT:
        put_value(b, job->prompt, '_');
        break;
    case PROMPT_SPACES:
        put_value(b, job->prompt, ' ');
        break;
    case PROMPT_WORDS:
        put_words(b, words, ' ', WORDS_MOST, VALUE_MOST);
        break;
    case PROMPT_HASH:
        put_hash(b, job->prompt, "");
        break;
    case NEGATIVE_HASH:
        put_hash(b, job->negative, "");
        break;
    case FULL_HASH:
        put_hash(b, job->prompt, job->negative);
        break;
    case NUMBER:
        buf_printf(b, "%d", f->number);
        break;
    case DASHED:
        put_words(b, words, '-', INT16_MAX, DASHED_MOST);
        break;
    case NOTHING:
        break;
    }
}

/* "[name]" or "[name<argument>]" at s: its length, or 0 and a sentence. */
static size_t read_mark(const char *s, enum mark *mark, char argument[VALUE_MOST],
                        struct error *err)
{
    size_t n = strcspn(s + 1, "<]"), more = 0;
    const char *tail = s + 1 + n;
    argument[0] = 0;
    if (*tail == '<') {
        more = strcspn(tail + 1, ">");
        if (more >= VALUE_MOST || strncmp(tail + 1 + more, ">]", 2) != 0)
            tail = "";
        else
            snprintf(argument, VALUE_MOST, "%.*s", (int)more, tail + 1);
        more += 2;
    }
    for (size_t i = 0; *tail && i < sizeof marks / sizeof *marks; i++)
        if (strlen(marks[i].name) == n && strncmp(marks[i].name, s + 1, n) == 0 &&
            (!more || marks[i].mark == DATETIME)) {
            *mark = marks[i].mark;
            return n + more + 2;
        }
    error_set(err, ST_USAGE, "--name-pattern: %.40s is no mark (see \"eidetic generate --help\")",
              s);
    return 0;
}

/* The parts of a path that is not one yet: none empty, hidden, or too long. */
static char *make_fit(const char *name)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    do {
        size_t n = strcspn(name, "/"), k = n;
        while (k && strchr(" .-_", name[k - 1])) /* where the last mark stood for nothing */
            k--;
        const char *from = name;
        while (k && strchr(" .", *from)) {
            from++;
            k--;
        }
        for (uint32_t c; k > PART_MOST;) { /* whole letters */
            size_t used = 0, step;
            while ((step = utf8_decode(from + used, k - used, &c)) + used <= PART_MOST)
                used += step;
            k = used;
        }
        if (b.len)
            buf_putc(&b, '/');
        buf_append(&b, k ? from : "_", k ? k : 1);
        name += n + (name[n] == '/');
    } while (*name);
    return buf_take(&b);
}

static enum status check_parts(const char *pattern, struct error *err)
{
    size_t n = strlen(pattern);
    if (!n || n > PATTERN_MOST || !utf8_valid(pattern, n))
        return error_set(err, ST_USAGE, "--name-pattern is UTF-8 of 1 to %d bytes",
                         (int)PATTERN_MOST);
    for (const char *s = pattern; s; s = strchr(s, '/') ? strchr(s, '/') + 1 : NULL)
        if (*s == '/' || *s == '.' || !*s)
            return error_set(
                err, ST_USAGE,
                "--name-pattern: no part of \"%.80s\" may be empty or begin with a dot", pattern);
    return ST_OK;
}

enum status generate_name(char **name, const char *pattern, const struct generate_name_facts *f,
                          struct error *err)
{
    const char *ext = image_name_written(pattern) ? path_ext(pattern) : "png";
    size_t n = strlen(pattern) - (image_name_written(pattern) ? strlen(ext) + 1 : 0);
    struct buf b;
    *name = NULL;
    buf_init(&b, 1 << 16);
    enum status st = check_parts(pattern, err);
    for (size_t i = 0, k; !st && i < n; i += k) {
        char argument[VALUE_MOST];
        enum mark mark = NOTHING;
        k = pattern[i] == '[' ? read_mark(pattern + i, &mark, argument, err) : 1;
        if (!k)
            st = ST_USAGE;
        else if (pattern[i] == '[' && f)
            put_mark(&b, mark, *argument ? argument : NULL, f);
        else if (pattern[i] == '/')
            buf_putc(&b, '/');
        else if (pattern[i] != '[')
            buf_putc(&b, (unsigned char)pattern[i] < 0x20 ? '_' : pattern[i]);
    }
    buf_puts(&b, "");
    char *fit = !st && f && !b.failed ? make_fit(b.data) : NULL;
    buf_release(&b);
    if (fit)
        *name = mem_printf("%s.%s", fit, ext);
    if (!st && f && !*name)
        st = error_set(err, ST_NOMEM, "out of memory for a name");
    mem_free(fit);
    return st;
}
