/* Dates and times as text to seconds since 1970: ISO 8601, cut anywhere from the right. */
#include "core/date.h"
#include "db/images.h"
#include <string.h>

/* Exactly n digits. */
static bool digits(const char **p, int n, int *value)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if ((*p)[i] < '0' || (*p)[i] > '9')
            return false;
        v = v * 10 + ((*p)[i] - '0');
    }
    *p += n;
    *value = v;
    return true;
}

/* Days since 1970-01-01 of a proleptic Gregorian date: the March-based count of 400-year eras. */
static int64_t days_of(int y, int m, int d)
{
    int64_t year = m <= 2 ? y - 1 : y;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t in_era = year - era * 400;
    int64_t day = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + day - 719468;
}

/* "Z", "+02:00", "+0200", "+02" or nothing. */
static bool offset(const char **p, int64_t *seconds)
{
    *seconds = 0;
    if (**p == 'Z' || **p == 'z') {
        (*p)++;
        return true;
    }
    if (**p != '+' && **p != '-')
        return true;
    int sign = *(*p)++ == '-' ? -1 : 1, h, m = 0;
    if (!digits(p, 2, &h) || h > 18)
        return false;
    if (**p == ':')
        (*p)++;
    if (**p && (!digits(p, 2, &m) || m > 59))
        return false;
    *seconds = sign * (h * 3600 + m * 60);
    return true;
}

bool db_parse_time(const char *text, bool end, int64_t *seconds)
{
    const char *p = text;
    int y, mo = end ? 12 : 1, d = 0, h = end ? 23 : 0, mi = end ? 59 : 0, s = end ? 59 : 0;
    int64_t off = 0;
    if (!digits(&p, 4, &y) || y < 1)
        return false;
    if (*p == '-' && (p++, !digits(&p, 2, &mo) || mo < 1 || mo > 12))
        return false;
    if (*p == '-' && (p++, !digits(&p, 2, &d) || d < 1 || d > date_month_length(y, mo)))
        return false;
    if (d && (*p == 'T' || *p == 't' || *p == ' ')) {
        p++;
        if (!digits(&p, 2, &h) || h > 23 || *p != ':' || (p++, !digits(&p, 2, &mi)) || mi > 59)
            return false;
        if (*p == ':' && (p++, !digits(&p, 2, &s) || s > 60))
            return false;
        if (*p == '.' || *p == ',')
            for (p++; *p >= '0' && *p <= '9';)
                p++;
        if (!offset(&p, &off))
            return false;
    }
    if (*p)
        return false;
    if (!d)
        d = end ? date_month_length(y, mo) : 1;
    *seconds = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + s - off;
    return true;
}
