// SPDX-License-Identifier: MIT
//
// x87. FNSTENV and FNSAVE are missing: they store instruction and data pointers, which are not
// compared. FLDCW and FLDENV unmask exceptions at random, so that some sequences end in #MF.
#include "template.h"

// clang-format off
#define MEM8(op) {op " /0 m"}, {op " /1 m"}, {op " /2 m"}, {op " /3 m"}, {op " /4 m"}, \
    {op " /5 m"}, {op " /6 m"}, {op " /7 m"}
#define REG8(op) {op " C0+i"}, {op " C8+i"}, {op " D0+i"}, {op " D8+i"}, {op " E0+i"}, \
    {op " E8+i"}, {op " F0+i"}, {op " F8+i"}

static const struct insn_template rows[] = {
    MEM8("D8"), REG8("D8"),
    MEM8("DC"), REG8("DC"),
    MEM8("DA"), MEM8("DE"),
    {"DE C0+i"}, {"DE C8+i"}, {"DE D0+i"}, {"DE D9"}, {"DE E0+i"}, {"DE E8+i"}, {"DE F0+i"},
    {"DE F8+i"},

    /* loads, stores: loads often, or the stack is empty soon */
    {"D9 /0 m", 0, 3}, {"DD /0 m", 0, 3}, {"DB /5 m", 0, 3}, {"D9 C0+i", 0, 3},
    {"DF /0 m"}, {"DB /0 m"}, {"DF /5 m"}, {"DF /4 m"},
    {"D9 /2 m"}, {"D9 /3 m"}, {"DD /2 m"}, {"DD /3 m"}, {"DB /7 m"}, {"DD D0+i"}, {"DD D8+i"},
    {"D9 D8+i"},
    {"DF /2 m"}, {"DF /3 m"}, {"DB /2 m"}, {"DB /3 m"}, {"DF /7 m"}, {"DF /1 m"}, {"DB /1 m"},
    {"DD /1 m"}, {"DF /6 m"},
    {"D9 E8"}, {"D9 E9"}, {"D9 EA"}, {"D9 EB"}, {"D9 EC"}, {"D9 ED"}, {"D9 EE"},
    {"D9 C8+i", 0, 3}, {"DD C8+i"}, {"DF C8+i"}, {"DF D0+i"}, {"DF D8+i"},
    {"DA C0+i"}, {"DA C8+i"}, {"DA D0+i"}, {"DA D8+i"}, {"DB C0+i"}, {"DB C8+i"}, {"DB D0+i"},
    {"DB D8+i"},

    /* comparisons */
    {"DD E0+i"}, {"DD E8+i"}, {"DA E9"}, {"DB E8+i"}, {"DB F0+i"}, {"DF E8+i"}, {"DF F0+i"},
    {"D9 E4"}, {"D9 E5"},

    /* functions */
    {"D9 E0"}, {"D9 E1"}, {"D9 F0"}, {"D9 F1"}, {"D9 F2"}, {"D9 F3"}, {"D9 F4"}, {"D9 F5"},
    {"D9 F8"}, {"D9 F9"}, {"D9 FA"},
    {"D9 FB"}, {"D9 FC"}, {"D9 FD"}, {"D9 FE"}, {"D9 FF"},

    /* control */
    {"D9 F6"}, {"D9 F7"}, {"DD C0+i"}, {"DF C0+i"}, {"D9 D0"}, {"DB E0"}, {"DB E1"}, {"DB E2"},
    {"DB E3"}, {"DB E4"},
    {"D9 /5 m"}, {"D9 /7 m"}, {"DD /7 m"}, {"DF E0"}, {"9B"}, {"D9 /4 m"}, {"66 D9 /4 m"},
    {"DD /4 m"}, {"66 DD /4 m"},
};
// clang-format on

const struct family family_x87 = {"x87", rows, sizeof rows / sizeof *rows};
