// SPDX-License-Identifier: MIT
//
// A template row (template.h) as gen.c takes it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum size_kind { SIZE_NONE, SIZE_V, SIZE_W, SIZE_D64, SIZE_16, SIZE_64 };
enum imm_kind { IMM_NONE, IMM_8, IMM_16, IMM_32, IMM_V, IMM_Q, IMM_MOFFS };
enum setup_kind {
    SETUP_NONE, SETUP_BT, SETUP_STRING, SETUP_XLAT, SETUP_POPF, SETUP_TARGET, SETUP_RET,
    SETUP_ENTER, SETUP_RCX, SETUP_DIV, SETUP_LEAVE, SETUP_VSIB,
};
#define ANY 0xff

struct encoding {
    uint8_t prefix, map, opcode;
    bool has_opcode, vex, modrm, plus_r, byte, lock, rep;
    uint8_t vex_l, vex_w, vex_pp; /* ANY: both */
    uint8_t ext;                  /* fixed ModRM.reg, or ANY */
    uint8_t literal[2], n_literal;
    bool literal_plus;
    char form; /* 'm', 'r', or 0 for both */
    char reg, rm, v;
    uint8_t size, imm, imm_limit, setup, align;
    uint8_t branch; /* 1 or 4: bytes of displacement */
    bool only64, only32;
};

/* All rows of the families asked for, each as often as its weight says. */
extern struct encoding *gen_rows;
extern uint32_t gen_n_rows;
extern bool gen_mode32;
