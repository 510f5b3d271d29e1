// SPDX-License-Identifier: MIT
//
// Instruction templates of the comparison with the host CPU: what to generate, as rows of text.
// A family is a table of rows; families.c lists the families. To add one: write family_NAME.c with
// a `const struct family family_NAME`, and name it in families.c.
//
// A row's text is a list of words, in the manner of the manuals:
//
//   opcode      66 F2 F3          mandatory prefix
//               0F 0F38 0F3A      map (none: one-byte opcodes)
//               A4 ...            opcode byte; a second one is a literal byte after it (x87: D9 E8)
//               C0+i              literal byte plus a random 0-7
//               VEX.L.p.m.W       L: 128 256 LIG L (both);  p: NP 66 F3 F2;  m: 0F 0F38 0F3A;
//                                 W: W0 W1 WIG W (both: 32 or 64 bits)
//   ModRM       /r  /0 ... /7     random register; fixed extension
//               +r                register in the opcode byte
//               m  r              memory only; register only (default: both)
//   size        v                 16, 32, 64 bits by 66 and REX.W
//               w                 32 or 64 bits by REX.W
//               d64               16 or 64 bits (stack)
//               o16 o64           66; REX.W
//   operands    reg=g rm=g v=g    of which file reg, r/m and vvvv are: g general, x vector,
//                                 f MMX or x87 (default g; vvvv as reg)
//               byte              8-bit registers, so that AH..BH and SPL..DIL occur
//               a16 a32           memory operands are aligned so
//   immediate   ib iw id iv iq    iv: 2 or 4 bytes by size; iq: 2, 4 or 8
//               i<N               ib of at most N-1
//   prefixes    lock rep          sometimes LOCK (memory forms); sometimes F3 or F2
//   branch      cb cd             relative displacement: forward over a few instructions
//               moffs             an address of the sandbox, by address size
//   mode        only64 only32     left out in the other mode (rows with o64 are only64 anyway)
//   setup       what has to be prepared, in gen.c: bt string xlat popf target ret enter rcx
//               div leave vsib
#pragma once

#include <stdint.h>

/* What not every host has: such rows are left out where it is missing. */
enum template_need {
    NEED_NOTHING, NEED_ADX, NEED_SHA, NEED_AES, NEED_PCLMUL, NEED_MOVBE, NEED_BMI,
    NEED_AVX, NEED_AVX2, NEED_FMA, NEED_F16C, NEED_SSE42, NEED_SSE4A,
};

/* Rows name only what is not zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct insn_template {
    const char *text;
    enum template_need need;
    unsigned weight; /* how often among the others; 0 counts as 1 */
};

struct family {
    const char *name;
    const struct insn_template *rows;
    unsigned count;
};

/* NULL-terminated. */
extern const struct family *const families[];
