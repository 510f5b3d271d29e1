// SPDX-License-Identifier: MIT
//
// MMX and its extensions by SSE to SSSE3. Conversions between MMX and vector registers are in
// family_vec.c.
#include "template.h"

// clang-format off
#define MMX(op) {"0F " op " /r reg=f rm=f"}
#define MMX38(op) {"0F38 " op " /r reg=f rm=f"}
#define MMX_SHIFT(op, ext) {"0F " op " /" ext " r rm=f ib"}, {"0F " op " /" ext " r rm=f i<70>", 0, 2}

static const struct insn_template rows[] = {
    MMX("60"), MMX("61"), MMX("62"), MMX("63"), MMX("64"), MMX("65"), MMX("66"), MMX("67"),
    MMX("68"), MMX("69"), MMX("6A"),
    MMX("6B"), MMX("6F"), MMX("7F"), MMX("74"), MMX("75"), MMX("76"),
    MMX("D1"), MMX("D2"), MMX("D3"), MMX("D4"), MMX("D5"), MMX("D8"), MMX("D9"), MMX("DA"),
    MMX("DB"), MMX("DC"), MMX("DD"),
    MMX("DE"), MMX("DF"), MMX("E0"), MMX("E1"), MMX("E2"), MMX("E3"), MMX("E4"), MMX("E5"),
    MMX("E8"), MMX("E9"), MMX("EA"),
    MMX("EB"), MMX("EC"), MMX("ED"), MMX("EE"), MMX("EF"), MMX("F1"), MMX("F2"), MMX("F3"),
    MMX("F4"), MMX("F5"), MMX("F6"),
    MMX("F8"), MMX("F9"), MMX("FA"), MMX("FB"), MMX("FC"), MMX("FD"), MMX("FE"),
    MMX38("00"), MMX38("01"), MMX38("02"), MMX38("03"), MMX38("04"), MMX38("05"), MMX38("06"),
    MMX38("07"), MMX38("08"),
    MMX38("09"), MMX38("0A"), MMX38("0B"), MMX38("1C"), MMX38("1D"), MMX38("1E"),
    {"0F3A 0F /r reg=f rm=f i<20>"}, {"0F3A 0F /r reg=f rm=f ib"},
    MMX_SHIFT("71", "2"), MMX_SHIFT("71", "4"), MMX_SHIFT("71", "6"), MMX_SHIFT("72", "2"),
    MMX_SHIFT("72", "4"),
    MMX_SHIFT("72", "6"), MMX_SHIFT("73", "2"), MMX_SHIFT("73", "6"),
    {"0F 6E /r reg=f w"}, {"0F 7E /r reg=f w"}, {"0F E7 /r m reg=f"},
    {"0F F7 /r r reg=f rm=f string"},
    {"0F 70 /r reg=f rm=f ib"}, {"0F C4 /r reg=f ib"}, {"0F C5 /r r rm=f ib"}, {"0F D7 /r r rm=f"},
    {"0F 77"},
    {"F3 0F D6 /r r reg=x rm=f"}, {"F2 0F D6 /r r reg=f rm=x"},
    /* what else looks at the same registers */
    {"D9 /0 m"}, {"DD /3 m"}, {"DE C1"}, {"D9 C8+i"}, {"DB E3"},
};
// clang-format on

const struct family family_mmx = {"mmx", rows, sizeof rows / sizeof *rows};
