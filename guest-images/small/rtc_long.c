// SPDX-License-Identifier: MIT
//
// The guest of rtc_protected.c in long mode, where interrupts come and return in another way.
#include "rtc_protected.c"
