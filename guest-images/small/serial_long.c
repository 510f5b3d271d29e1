// SPDX-License-Identifier: MIT
//
// The guest of serial_protected.c in long mode, where interrupts come and return in another way.
#include "serial_protected.c"
