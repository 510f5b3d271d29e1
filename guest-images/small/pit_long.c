// SPDX-License-Identifier: MIT
//
// The guest of pit_protected.c in long mode, where interrupts come and return in another way.
#include "pit_protected.c"
