/* Dates as people write them, in English: "july 2019", "last summer", "3 weeks ago". Seasons are
 * those of the northern hemisphere by whole months; a month or season without a year is the latest
 * that has begun, and "last" means the latest that is over. */
#include "db/images.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY = 86400, WORDS = 6, LENGTH = 16 };

struct date {
    int y, m, d;
};
struct words {
    char at[WORDS][LENGTH];
    int n;
};

/* Months beyond 1..12 carry into years. */
static int64_t midnight(int y, int m, int d)
{
    struct tm tm = {.tm_year = y - 1900, .tm_mon = m - 1, .tm_mday = d};
    return (int64_t)timegm(&tm);
}

static struct date date_of(int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    return (struct date){tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday};
}

struct range {
    int64_t from, to; /* to: the last second */
};

static struct range days(int64_t first, int64_t behind)
{
    return (struct range){first, behind - 1};
}

static struct range months(int y, int m, int n)
{
    return days(midnight(y, m, 1), midnight(y, m + n, 1));
}

/* Lower case, split at blanks and commas; false: too many or too long. */
static bool split(const char *text, struct words *w)
{
    w->n = 0;
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, " ,\t");
        if (n >= LENGTH || (n && w->n == WORDS))
            return false;
        for (size_t i = 0; i < n; i++)
            w->at[w->n][i] = (char)tolower((unsigned char)s[i]);
        w->at[w->n][n] = 0;
        w->n += n > 0;
        s += n + (s[n] != 0);
    }
    return w->n > 0;
}

/* A whole word or its first three letters; -1: none of them. */
static int index_of(const char *word, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(word, names[i]) || (strlen(word) == 3 && !strncmp(word, names[i], 3)))
            return i;
    return -1;
}

static int month_of(const char *word)
{
    static const char *const names[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};
    return index_of(word, names, 12) + 1;
}

/* The month that a season begins with, or 0. */
static int season_of(const char *word)
{
    static const char *const names[] = {"spring", "summer", "autumn", "winter", "fall"};
    static const int first[] = {3, 6, 9, 12, 9};
    for (int i = 0; i < 5; i++)
        if (!strcmp(word, names[i]))
            return first[i];
    return 0;
}

static int weekday_of(const char *word)
{
    static const char *const names[] = {"monday", "tuesday",  "wednesday", "thursday",
                                        "friday", "saturday", "sunday"};
    return index_of(word, names, 7);
}

static bool number(const char *word, int least, int most, int *v)
{
    char *end;
    long x = strtol(word, &end, 10);
    if (!isdigit((unsigned char)word[0]) || *end || x < least || x > most)
        return false;
    *v = (int)x;
    return true;
}

static bool year_of(const char *word, int *y)
{
    return strlen(word) == 4 && number(word, 1, 9999, y);
}

/* "4", "4th", "21st" */
static bool day_of(const char *word, int *d)
{
    char plain[LENGTH];
    size_t n = strlen(word);
    memcpy(plain, word, n + 1);
    if (n > 2 && (!strcmp(word + n - 2, "th") || !strcmp(word + n - 2, "st") ||
                  !strcmp(word + n - 2, "nd") || !strcmp(word + n - 2, "rd")))
        plain[n - 2] = 0;
    return number(plain, 1, 31, d);
}

/* Monday of the week that holds this day: 1970-01-01 was a Thursday. */
static int64_t week_start(int64_t day)
{
    int64_t n = day / DAY;
    return (n - (((n + 3) % 7 + 7) % 7)) * DAY;
}

/* One day, week, month or year that begins `back` units before this one, `n` of them. */
static bool units(const char *word, int64_t today, int back, int n, struct range *r)
{
    struct date d = date_of(today);
    if (!strcmp(word, "day") || !strcmp(word, "days"))
        *r = days(today - (int64_t)back * DAY, today - ((int64_t)back - n) * DAY);
    else if (!strcmp(word, "week") || !strcmp(word, "weeks"))
        *r = days(week_start(today) - 7 * (int64_t)back * DAY,
                  week_start(today) - 7 * ((int64_t)back - n) * DAY);
    else if (!strcmp(word, "month") || !strcmp(word, "months"))
        *r = months(d.y, d.m - back, n);
    else if (!strcmp(word, "year") || !strcmp(word, "years"))
        *r = months(d.y - back, 1, 12 * n);
    else
        return false;
    return true;
}

/* A month (n = 1) or season (n = 3) of no named year: the latest that has begun or, with over, that
 * has ended. */
static struct range latest(int64_t now, int first, int n, bool over)
{
    int y = date_of(now).y;
    struct range r = months(y, first, n);
    while (over ? r.to >= now : r.from > now)
        r = months(--y, first, n);
    return r;
}

/* "last summer", "this month", "last 3 weeks", "last friday" */
static bool relative(const struct words *w, int64_t now, int64_t today, struct range *r)
{
    bool last = !strcmp(w->at[0], "last") || !strcmp(w->at[0], "past");
    const char *what = w->at[w->n - 1];
    int n, season = season_of(what), month = month_of(what), weekday = weekday_of(what);
    if (!last && strcmp(w->at[0], "this") != 0)
        return false;
    if (w->n == 3)
        return last && number(w->at[1], 1, 9999, &n) && units(what, today, n - 1, n, r);
    if (w->n != 2)
        return false;
    if (season || month) {
        struct date d = date_of(now);
        int begun = season == 12 && d.m < 3; /* the winter that goes on began last year */
        *r = last ? latest(now, season ? season : month, season ? 3 : 1, true)
                  : months(d.y - begun, season ? season : month, season ? 3 : 1);
        return true;
    }
    if (weekday >= 0) {
        int64_t day = week_start(today) + (int64_t)weekday * DAY;
        day -= last && day >= today ? 7 * DAY : 0;
        *r = days(day, day + DAY);
        return true;
    }
    return units(what, today, last, 1, r);
}

/* "july 2019", "4 july 2019", "july 4, 2019", "july", "4 july", "summer 2019" */
static bool named(const struct words *w, int64_t now, struct range *r)
{
    int y = 0, m = 0, d = 0, season = 0;
    for (int i = 0; i < w->n; i++) {
        const char *s = w->at[i];
        if (!m && !season && month_of(s))
            m = month_of(s);
        else if (!m && !season && season_of(s))
            season = season_of(s);
        else if (!y && year_of(s, &y))
            continue;
        else if (d || !day_of(s, &d))
            return false;
    }
    if ((!m && !season) || (season && d))
        return false;
    int first = season ? season : m, n = season ? 3 : 1;
    *r = y ? months(y, first, n) : latest(now, first, n, false);
    while (!y && m == 2 && d == 29 && r->to - r->from < 29 * DAY - 1)
        *r = months(date_of(r->from).y - 1, 2, 1); /* the latest that there was */
    if (d) {
        struct date start = date_of(r->from);
        int64_t day = midnight(start.y, start.m, d);
        if (day > r->to)
            return false; /* 31 june */
        *r = days(day, day + DAY);
    }
    return true;
}

/* "1990s"; "4.7.2019"; "2019/07/04" */
static bool digits_only(const char *s, struct range *r)
{
    int y, m, d, used = 0;
    if (strspn(s, "0123456789") == 4 && !strcmp(s + 3, "0s")) {
        char year[5] = {s[0], s[1], s[2], s[3], 0};
        if (!year_of(year, &y))
            return false;
        *r = months(y, 1, 120);
        return true;
    }
    if (sscanf(s, "%2d.%2d.%4d%n", &d, &m, &y, &used) != 3 || s[used] || y < 1000) {
        used = 0;
        if (sscanf(s, "%4d/%2d/%2d%n", &y, &m, &d, &used) != 3 || s[used] || y < 1000)
            return false;
    }
    struct date back = date_of(midnight(y, m, d));
    *r = days(midnight(y, m, d), midnight(y, m, d) + DAY);
    return back.y == y && back.m == m && back.d == d;
}

bool db_parse_when(const char *text, int64_t now, int64_t *from, int64_t *to)
{
    struct words w;
    struct range r = {0};
    int n;
    int64_t today = now / DAY * DAY;
    if (db_parse_time(text, false, from) && db_parse_time(text, true, to))
        return true;
    if (!split(text, &w))
        return false;
    const char *first = w.at[0];
    bool ok;
    if (w.n == 1 && !strcmp(first, "today"))
        ok = units("day", today, 0, 1, &r);
    else if (w.n == 1 && !strcmp(first, "yesterday"))
        ok = units("day", today, 1, 1, &r);
    else if (w.n == 3 && !strcmp(w.at[2], "ago"))
        ok = number(first, 1, 9999, &n) && units(w.at[1], today, n, 1, &r);
    else if (relative(&w, now, today, &r))
        ok = true;
    else
        ok = named(&w, now, &r) || (w.n == 1 && digits_only(first, &r));
    *from = r.from;
    *to = r.to;
    return ok;
}

int64_t db_wall_clock(void)
{
    time_t t = time(NULL);
    struct tm tm = {0};
    localtime_r(&t, &tm);
    return (int64_t)timegm(&tm);
}
