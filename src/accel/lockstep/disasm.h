// SPDX-License-Identifier: MIT
//
// Instructions in words, by libzydis in a helper program. Slow: for reports. Thread: any.
#pragma once

#include <stdint.h>

#define DISASM_MOST 16
#define DISASM_TEXT 96 /* bytes, the closing zero included */

struct disasm_insn {
    unsigned bits; /* 16, 32 or 64: the code's size */
    uint64_t rip;
    uint8_t bytes[15], len; /* 0: nothing known */
};

/* n at most DISASM_MOST. A text is empty where the bytes are no instruction, or libzydis is not
 * installed. */
void disassemble(const struct disasm_insn *list, unsigned n, char text[][DISASM_TEXT]);
