/* db: dates as people write them. */
#include "db/images.h"
#include "test.h"
#include <string.h>
#include <time.h>

/* Thursday 26 November 2026, 14:30. */
static int64_t now(void)
{
    int64_t t;
    assert_true(db_parse_time("2026-11-26T14:30:00", false, &t));
    return t;
}

static void check_at(int64_t now, const char *text, const char *first, const char *last)
{
    int64_t from = 0, to = 0, a, b;
    if (!db_parse_when(text, now, &from, &to))
        fail_msg("\"%s\" is not read", text);
    assert_true(db_parse_time(first, false, &a));
    assert_true(db_parse_time(last, true, &b));
    if (from != a || to != b)
        fail_msg("\"%s\": %lld..%lld, not %lld..%lld", text, (long long)from, (long long)to,
                 (long long)a, (long long)b);
}

static void check(const char *text, const char *first, const char *last)
{
    check_at(now(), text, first, last);
}

static void iso_dates_cover_what_they_leave_out(void **state)
{
    (void)state;
    check("2019", "2019-01-01", "2019-12-31");
    check("2019-07", "2019-07-01", "2019-07-31");
    check("2020-02", "2020-02-01", "2020-02-29");
    check("2019-07-04", "2019-07-04", "2019-07-04");
}

static void months_days_and_seasons_with_a_year(void **state)
{
    (void)state;
    check("july 2019", "2019-07", "2019-07");
    check("Jul 2019", "2019-07", "2019-07");
    check("2019 july", "2019-07", "2019-07");
    check("4 july 2019", "2019-07-04", "2019-07-04");
    check("July 4th, 2019", "2019-07-04", "2019-07-04");
    check("summer 2019", "2019-06", "2019-08");
    check("winter 2018", "2018-12", "2019-02");
    check("fall 2018", "2018-09", "2018-11");
    check("1990s", "1990", "1999");
    check("4.7.2019", "2019-07-04", "2019-07-04");
    check("2019/07/04", "2019-07-04", "2019-07-04");
}

static void without_a_year_the_latest_that_has_begun(void **state)
{
    (void)state;
    check("july", "2026-07", "2026-07");
    check("december", "2025-12", "2025-12");
    check("november", "2026-11", "2026-11");
    check("4 july", "2026-07-04", "2026-07-04");
    check("summer", "2026-06", "2026-08");
    check("winter", "2025-12", "2026-02");
    check("autumn", "2026-09", "2026-11");
}

static void what_is_relative_to_today(void **state)
{
    (void)state;
    check("today", "2026-11-26", "2026-11-26");
    check("yesterday", "2026-11-25", "2026-11-25");
    check("last week", "2026-11-16", "2026-11-22");
    check("this week", "2026-11-23", "2026-11-29");
    check("last month", "2026-10", "2026-10");
    check("this month", "2026-11", "2026-11");
    check("last year", "2025", "2025");
    check("last summer", "2026-06", "2026-08");
    check("last autumn", "2025-09", "2025-11");
    check("last winter", "2025-12", "2026-02");
    check("last november", "2025-11", "2025-11");
    check("last july", "2026-07", "2026-07");
    check("last friday", "2026-11-20", "2026-11-20");
    check("last thursday", "2026-11-19", "2026-11-19");
    check("last 3 days", "2026-11-24", "2026-11-26");
    check("last 2 years", "2025", "2026");
    check("3 days ago", "2026-11-23", "2026-11-23");
    check("2 months ago", "2026-09", "2026-09");
    check("11 months ago", "2025-12", "2025-12");
    check("10 years ago", "2016", "2016");
}

/* A winter goes on into the year that follows, and most years have no 29 February. */
static void winters_and_leap_days(void **state)
{
    int64_t january, december;
    (void)state;
    assert_true(db_parse_time("2026-01-20", false, &january));
    assert_true(db_parse_time("2026-12-05", false, &december));
    check_at(january, "this winter", "2025-12", "2026-02");
    check_at(january, "winter", "2025-12", "2026-02");
    check_at(january, "last winter", "2024-12", "2025-02");
    check_at(december, "this winter", "2026-12", "2027-02");
    check("this winter", "2026-12", "2027-02");
    check("29 february", "2024-02-29", "2024-02-29");
    check("28 february", "2026-02-28", "2026-02-28");
}

static void what_is_no_date_is_not_read(void **state)
{
    static const char *const no[] = {
        "",
        " ",
        "a dog",
        "31 june 2019",
        "summer 4 2019",
        "last",
        "last dog",
        "july july",
        "2019 2020",
        "32 july",
        "4/7/2019",
        "31.2.2019",
        "0 days ago",
        "99999 years ago",
        "1993s",
        "july 2019 x",
        "one two three four five six seven",
        "yesterday 2019",
        "2019-13",
        "-1 days ago",
    };
    (void)state;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        int64_t from, to;
        if (db_parse_when(no[i], now(), &from, &to))
            fail_msg("\"%s\" is read as a date", no[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iso_dates_cover_what_they_leave_out),
        cmocka_unit_test(months_days_and_seasons_with_a_year),
        cmocka_unit_test(without_a_year_the_latest_that_has_begun),
        cmocka_unit_test(what_is_relative_to_today),
        cmocka_unit_test(winters_and_leap_days),
        cmocka_unit_test(what_is_no_date_is_not_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
