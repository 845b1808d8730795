/* Fetching over loopback from a small server in a thread: whole files, files cut off and gone on
 * with, servers that know no ranges, files that changed in between, lies and redirections. */
#include "app/fetch.h"
#include "app/file_hash.h"
#include "core/file.h"
#include "core/mem.h"
#include "test.h"
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 200000 };

struct server {
    int fd, port;
    pthread_t thread;
    char data[SIZE];
    int requests, with_range;
};

static void fill(char *data, uint32_t seed)
{
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (char)(seed >> 24);
    }
}

static void send_all(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t k = send(fd, data, n, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        data += k;
        n -= (size_t)k;
    }
}

static void answer(int fd, const char *status, const char *headers, size_t length)
{
    char head[512];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
                     length, headers);
    send_all(fd, head, (size_t)n);
}

/* The part from `from` on, of which only `most` bytes are sent. */
static void send_part(struct server *s, int fd, const char *etag, size_t from, size_t most)
{
    char headers[256];
    size_t n = SIZE - from;
    if (from)
        snprintf(headers, sizeof headers, "ETag: \"%s\"\r\nContent-Range: bytes %zu-%d/%d\r\n",
                 etag, from, SIZE - 1, SIZE);
    else
        snprintf(headers, sizeof headers, "ETag: \"%s\"\r\n", etag);
    answer(fd, from ? "206 Partial Content" : "200 OK", headers, n);
    send_all(fd, s->data + from, n < most ? n : most);
}

static void serve_one(struct server *s, int fd)
{
    char text[4096];
    size_t n = 0;
    ssize_t k;
    while (n < sizeof text - 1 && (k = recv(fd, text + n, sizeof text - 1 - n, 0)) > 0) {
        n += (size_t)k;
        text[n] = 0;
        if (strstr(text, "\r\n\r\n"))
            break;
    }
    char path[64] = "";
    sscanf(text, "%*s %63s", path);
    const char *range = strstr(text, "Range: bytes=");
    size_t from = range ? (size_t)strtoul(range + 13, NULL, 10) : 0;
    bool same = strstr(text, "If-Range: \"one\"") != NULL;
    s->requests++;
    s->with_range += from > 0;
    if (strncmp(text, "HEAD", 4) == 0)
        answer(fd, strcmp(path, "/404") ? "200 OK" : "404 Not Found", "", SIZE);
    else if (!strcmp(path, "/ok"))
        send_part(s, fd, "one", same ? from : 0, SIZE);
    else if (!strcmp(path, "/cut")) /* half of what is left, each time */
        send_part(s, fd, "one", same ? from : 0, s->requests < 4 ? (SIZE - from) / 2 : SIZE);
    else if (!strcmp(path, "/norange"))
        send_part(s, fd, "one", 0, SIZE);
    else if (!strcmp(path, "/weak"))
        answer(fd, "200 OK", "ETag: W/\"one\"\r\n", SIZE), send_all(fd, s->data, SIZE / 2);
    else if (!strcmp(path, "/elsewhere")) {
        answer(fd, "206 Partial Content", "Content-Range: bytes 5-9/200000\r\n", 5);
        send_all(fd, s->data + 5, 5);
    } else if (!strcmp(path, "/redirect"))
        answer(fd, "302 Found", "Location: /ok\r\n", 0);
    else if (!strcmp(path, "/passwd"))
        answer(fd, "302 Found", "Location: file:///etc/passwd\r\n", 0);
    else if (!strcmp(path, "/round"))
        answer(fd, "302 Found", "Location: /round\r\n", 0);
    else if (!strcmp(path, "/empty"))
        answer(fd, "200 OK", "", 0);
    else
        answer(fd, "404 Not Found", "", 0);
}

static void *serve(void *ctx)
{
    struct server *s = ctx;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        serve_one(s, fd);
        close(fd);
    }
    return NULL;
}

static int start_server(void **state)
{
    struct server *s = mem_zalloc(sizeof *s);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    fill(s->data, 1);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof a) || listen(s->fd, 8) ||
        getsockname(s->fd, (struct sockaddr *)&a, &n)) {
        print_message("no loopback network here: skipped\n");
        exit(77);
    }
    s->port = ntohs(a.sin_port);
    *state = s;
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    return pthread_create(&s->thread, NULL, serve, s);
}

static int stop_server(void **state)
{
    struct server *s = *state;
    shutdown(s->fd, SHUT_RDWR);
    close(s->fd);
    pthread_join(s->thread, NULL);
    mem_free(s);
    return 0;
}

static const char *url_of(const struct server *s, const char *path)
{
    static char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", s->port, path);
    return url;
}

static const char *file(void)
{
    static char name[64];
    snprintf(name, sizeof name, "fetched-%d", (int)getpid());
    return name;
}

static void remove_files(void)
{
    static const char *const tails[] = {"", ".part", ".part.etag"};
    char name[96];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", file(), tails[i]);
        unlink(name);
    }
}

static bool there(const char *tail)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s", file(), tail);
    return file_exists(name);
}

static void hex_of(const void *data, size_t n, char hex[65])
{
    struct sha256_ctx h;
    sha256_init(&h);
    sha256_update(&h, n, data);
    file_hash_hex(&h, hex);
}

static void expect_data(const struct server *s)
{
    char *data = NULL;
    size_t n = 0;
    assert_int_equal(file_read_all(&data, &n, file(), SIZE + 1, NULL), ST_OK);
    assert_int_equal(n, SIZE);
    assert_memory_equal(data, s->data, SIZE);
    assert_false(there(".part") || there(".part.etag"));
    mem_free(data);
}

static void fetch_well(struct server *s, const char *path, struct fetched *got)
{
    struct error err = {0};
    char hex[65];
    hex_of(s->data, SIZE, hex);
    struct fetch f = {.sha256 = hex, .size = SIZE};
    if (fetch_file(&f, url_of(s, path), file(), got, &err))
        fail_msg("%s", err.text);
    assert_string_equal(got->sha256, hex);
    expect_data(s);
}

static void sums_are_those_of_the_standard(void **state)
{
    (void)state;
    char hex[65];
    hex_of("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hex_of("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void whole_files_come_whole(void **state)
{
    struct fetched got;
    fetch_well(*state, "/ok", &got);
    assert_int_equal(got.resumed, 0);
    fetch_well(*state, "/redirect", &got);
    struct error err = {0};
    struct server *s = *state;
    uint64_t size = 0;
    assert_int_equal(fetch_size(url_of(s, "/ok"), &size, &err), ST_OK);
    assert_int_equal(size, SIZE);
    assert_int_equal(fetch_size(url_of(s, "/404"), &size, &err), ST_NOT_FOUND);
    assert_int_equal(fetch_file(&(struct fetch){0}, url_of(s, "/empty"), file(), &got, &err),
                     ST_OK);
    assert_int_equal(got.bytes, 0);
    remove_files();
}

static void a_cut_transfer_goes_on_by_itself(void **state)
{
    struct server *s = *state;
    struct fetched got;
    fetch_well(s, "/cut", &got);
    assert_int_equal(s->with_range, 3);
    remove_files();
}

/* What an interrupted call leaves. */
static void leave_part(const char *data, size_t n, const char *etag)
{
    char name[96];
    remove_files();
    snprintf(name, sizeof name, "%s.part", file());
    assert_int_equal(file_write_atomic(name, data, n, NULL), ST_OK);
    snprintf(name, sizeof name, "%s.part.etag", file());
    if (etag)
        assert_int_equal(file_write_atomic(name, etag, strlen(etag), NULL), ST_OK);
}

static void a_later_call_goes_on(void **state)
{
    struct server *s = *state;
    struct fetched got;
    leave_part(s->data, 150001, "\"one\"");
    fetch_well(s, "/ok", &got);
    assert_int_equal(got.resumed, 150001);
    leave_part(s->data, SIZE, "\"one\""); /* it was whole */
    int before = s->requests;
    fetch_well(s, "/ok", &got);
    assert_int_equal(s->requests, before);
    leave_part(s->data, 1000, "\"one\""); /* the server cannot */
    fetch_well(s, "/norange", &got);
    assert_int_equal(got.resumed, 0);
    remove_files();
}

static void a_file_that_changed_starts_again(void **state)
{
    struct server *s = *state;
    struct fetched got;
    leave_part("another beginning", 17, "\"zero\"");
    fetch_well(s, "/ok", &got);
    assert_int_equal(got.resumed, 0);
    leave_part(s->data, 1000, NULL); /* of nobody knows what */
    fetch_well(s, "/ok", &got);
    assert_int_equal(got.resumed, 0);
    leave_part(s->data, 1000, "\"one\"\r\nX-Evil: 1"); /* an ETag that is none */
    fetch_well(s, "/ok", &got);
    assert_int_equal(got.resumed, 0);
    remove_files();
}

static void refuse(struct server *s, const struct fetch *f, const char *path, enum status code,
                   const char *word)
{
    struct fetched got;
    struct error err = {0};
    enum status st = fetch_file(f, url_of(s, path), file(), &got, &err);
    if (st != code || !strstr(err.text, word))
        fail_msg("%s: wanted %s with \"%s\", got %s: %s", path, status_name(code), word,
                 status_name(st), err.text);
    assert_false(there(""));
}

static void lies_are_refused(void **state)
{
    struct server *s = *state;
    char wrong[65];
    hex_of("", 0, wrong);
    remove_files();
    refuse(s, &(struct fetch){.sha256 = wrong}, "/ok", ST_FORMAT, "its SHA-256 is");
    assert_false(there(".part"));
    refuse(s, &(struct fetch){.size = SIZE - 1}, "/ok", ST_FORMAT, "200000 bytes, not 199999");
    refuse(s, &(struct fetch){.size = SIZE + 1}, "/ok", ST_FORMAT, "200000 bytes, not 200001");
    refuse(s, &(struct fetch){0}, "/404", ST_NOT_FOUND, "answers 404");
    refuse(s, &(struct fetch){0}, "/round", ST_IO, "redirects");
    refuse(s, &(struct fetch){0}, "/passwd", ST_IO, "127.0.0.1");
    refuse(s, &(struct fetch){0}, "/weak", ST_IO, "127.0.0.1"); /* cut, and never whole */
    leave_part(s->data, 1000, "\"one\"");
    refuse(s, &(struct fetch){0}, "/elsewhere", ST_IO, "another part");
    struct fetched got;
    struct error err = {0};
    assert_int_equal(fetch_file(&(struct fetch){0}, "file:///etc/passwd", file(), &got, &err),
                     ST_USAGE);
    remove_files();
}

static void an_interruption_keeps_what_came(void **state)
{
    struct server *s = *state;
    volatile sig_atomic_t stop = 1;
    leave_part(s->data, 1000, "\"one\"");
    refuse(s, &(struct fetch){.stop = &stop}, "/ok", ST_INTERRUPTED, "interrupted");
    assert_true(there(".part") && there(".part.etag"));
    remove_files();
}

static void texts_have_a_limit(void **state)
{
    struct server *s = *state;
    struct error err = {0};
    char *text = NULL;
    size_t n = 0;
    assert_int_equal(fetch_text(url_of(s, "/ok"), SIZE, &text, &n, &err), ST_OK);
    assert_int_equal(n, SIZE);
    mem_free(text);
    assert_int_equal(fetch_text(url_of(s, "/ok"), SIZE / 2, &text, &n, &err), ST_LIMIT);
    assert_int_equal(fetch_text(url_of(s, "/404"), SIZE, &text, &n, &err), ST_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_standard),
        cmocka_unit_test_setup_teardown(whole_files_come_whole, start_server, stop_server),
        cmocka_unit_test_setup_teardown(a_cut_transfer_goes_on_by_itself, start_server,
                                        stop_server),
        cmocka_unit_test_setup_teardown(a_later_call_goes_on, start_server, stop_server),
        cmocka_unit_test_setup_teardown(a_file_that_changed_starts_again, start_server,
                                        stop_server),
        cmocka_unit_test_setup_teardown(lies_are_refused, start_server, stop_server),
        cmocka_unit_test_setup_teardown(an_interruption_keeps_what_came, start_server, stop_server),
        cmocka_unit_test_setup_teardown(texts_have_a_limit, start_server, stop_server),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
