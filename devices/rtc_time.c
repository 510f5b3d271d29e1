// SPDX-License-Identifier: MIT
//
// The Gregorian calendar as the RTC needs it: see rtc_time.h. Own code, not the C library's, which
// reads time zone files.
#include "devices/rtc_time.h"

#include <stdbool.h>

#define DAY_SECONDS 86400u
#define DAYS_PER_400_YEARS 146097u

static const uint16_t days_before_month[2][13] = {
    {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365},
    {0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366},
};

static bool is_leap(uint64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 0000-01-01 to the first of January; year 0 is a leap year. */
static uint64_t days_before_year(uint64_t year)
{
    return year ? year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400 : 0;
}

uint64_t rtc_seconds_of(const struct rtc_time *t)
{
    uint64_t days = days_before_year(t->year) +
                    days_before_month[is_leap(t->year)][t->month - 1] + t->day - 1u;
    return days * DAY_SECONDS + t->hour * 3600u + t->minute * 60u + t->second;
}

struct rtc_time rtc_time_of(uint64_t seconds)
{
    uint64_t days = seconds / DAY_SECONDS;
    uint32_t in_day = (uint32_t)(seconds % DAY_SECONDS);

    uint64_t year = days * 400 / DAYS_PER_400_YEARS; /* right, or one off */
    while (days_before_year(year) > days)
        year--;
    while (days_before_year(year + 1) <= days)
        year++;
    uint64_t in_year = days - days_before_year(year);
    const uint16_t *before = days_before_month[is_leap(year)];
    unsigned month = 1;
    while (before[month] <= in_year)
        month++;

    return (struct rtc_time){
        .year = (uint32_t)year,
        .month = (uint8_t)month,
        .day = (uint8_t)(in_year - before[month - 1] + 1),
        .hour = (uint8_t)(in_day / 3600),
        .minute = (uint8_t)(in_day / 60 % 60),
        .second = (uint8_t)(in_day % 60),
        .weekday = (uint8_t)((days + 6) % 7 + 1), /* 0000-01-01 was a Saturday */
    };
}
