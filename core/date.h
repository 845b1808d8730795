/* The Gregorian calendar, where more than one module needs it. Pure. */
#ifndef EIDETIC_CORE_DATE_H
#define EIDETIC_CORE_DATE_H

#include <stdbool.h>

/* Days of a month from 1 to 12. */
static inline int date_month_length(int year, int month)
{
    static const int n[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return n[month - 1] + (month == 2 && leap);
}

#endif
