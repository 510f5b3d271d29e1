// SPDX-License-Identifier: MIT
//
// The guest of blk_protected.c in long mode, where interrupts come and return in another way.
#include "blk_protected.c"
