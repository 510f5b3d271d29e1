// SPDX-License-Identifier: MIT
//
// The calendar of the RTC: seconds since the start of year 0 (Gregorian, also before 1582) to
// broken-down time and back. Of rtc.c alone.
#pragma once

#include <stdint.h>

#define RTC_UNIX_EPOCH 62167219200ull /* 1970-01-01 00:00:00 in these seconds */

struct rtc_time {
    uint32_t year;
    uint8_t month, day; /* from 1 */
    uint8_t hour, minute, second;
    uint8_t weekday; /* 1 is Sunday */
};

/* Days past a month's end run into the next month; weekday is not looked at. Month is 1-12. */
uint64_t rtc_seconds_of(const struct rtc_time *t);

struct rtc_time rtc_time_of(uint64_t seconds);
