// SPDX-License-Identifier: MIT
//
// The opcode tables: one line per instruction form. A row accepts an instruction when every
// property of it (mandatory prefix, memory or register form, ModRM.reg and .rm, legacy or VEX, W,
// L, mode, REX.B) is among those the row names; a property that the row does not name may be
// anything. So one opcode may have several rows, and what no row accepts is undefined. Rows of an
// opcode stand together, opcodes ascend.
#pragma once

#include "cpu_state.h"
#include "insn.h"
#include "ops.h"

/* Properties: one bit per value, so that a row may accept several. */
/* Mandatory prefix: none, 66, F3, F2. The last of F2 and F3 wins, either wins over 66. */
#define NP (1u << 0)
#define P66 (1u << 1)
#define PF3 (1u << 2)
#define PF2 (1u << 3)
#define MEM (1u << 4) /* ModRM.mod: memory or register */
#define REG (1u << 5)
#define G(n) (1u << (6 + (n)))   /* ModRM.reg without REX.R */
#define RM(n) (1u << (14 + (n))) /* ModRM.rm without REX.B */
#define LEGACY (1u << 22)
#define VEX (1u << 23)
#define BOTH (LEGACY | VEX)
#define W0 (1u << 24) /* REX.W or VEX.W */
#define W1 (1u << 25)
#define L0 (1u << 26) /* VEX.L; without VEX it is 0 */
#define L1 (1u << 27)
#define M32 (1u << 28) /* 16- and 32-bit modes */
#define M64 (1u << 29)
#define B0 (1u << 30) /* REX.B */
#define B1 (1u << 31)

#define PROP_PREFIX (NP | P66 | PF3 | PF2)
#define PROP_MOD (MEM | REG)
#define PROP_G (0xffu << 6)
#define PROP_RM (0xffu << 14)

#define PROP_FILL(x, group) (((x) & (group)) ? 0u : (group))
/* What is not named may be anything; but VEX only where it is named. */
#define ACCEPT(x)                                                                                  \
    ((x) | PROP_FILL(x, PROP_PREFIX) | PROP_FILL(x, PROP_MOD) | PROP_FILL(x, PROP_G) |             \
     PROP_FILL(x, PROP_RM) | (((x) & BOTH) ? 0u : LEGACY) | PROP_FILL(x, W0 | W1) |                \
     PROP_FILL(x, L0 | L1) | PROP_FILL(x, M32 | M64) | PROP_FILL(x, B0 | B1))

/* Where the register operands are. */
enum optab_form {
    F_NONE,  /* implied: reg = rm = 0, the accumulator */
    F_M,     /* ModRM */
    F_MR,    /* ModRM that names a register whatever its mod (CR, DR) */
    F_OP,    /* register in the low bits of the opcode */
    F_SREG,  /* segment register in bits 3-5 of the opcode */
};

/* Operand size. */
enum optab_size {
    S_B,   /* 1 */
    S_W,   /* 2 */
    S_D,   /* 4 */
    S_Q,   /* 8 */
    S_T,   /* 10: x87 extended */
    S_O,   /* 16 */
    S_X,   /* 16 or 32 by VEX.L */
    S_V,   /* 2, 4, 8 by mode, 66, REX.W */
    S_Z,   /* 2, 4 */
    S_Y,   /* 4, 8 by REX.W */
    S_D64, /* like S_V, but 8 instead of 4 in 64-bit mode (stack) */
    S_F64, /* like S_V, but always 8 in 64-bit mode (near branches, descriptor tables) */
    S_A,   /* 4, or 8 in 64-bit mode (control registers) */
};

/* Immediate. */
enum optab_imm {
    I_NO,
    I_B,     /* byte, sign-extended */
    I_UB,    /* byte, zero-extended */
    I_UW,    /* word, zero-extended */
    I_Z,     /* 2 or 4 bytes by operand size, sign-extended */
    I_V,     /* 2, 4, 8 bytes */
    I_J,     /* branch displacement of operand size, at most 4 bytes */
    I_MOFFS, /* address size bytes, zero-extended */
    I_FAR,   /* offset of operand size, selector */
    I_ENTER, /* word, byte */
    I_IS4,   /* byte: register in the high nibble */
};

enum optab_attr {
    A_LOCK = 1 << 0,    /* LOCK is allowed with a memory operand */
    A_END = 1 << 1,     /* INSN_ENDS_BLOCK */
    A_COND = 1 << 2,    /* INSN_COND_END */
    A_VVVV = 1 << 3,    /* VEX.vvvv names an operand; else it must be all ones */
    A_VSIB = 1 << 4,    /* memory operand with a vector index */
    A_MMX_REG = 1 << 5, /* reg, rm: MMX registers (REX.R, REX.B are ignored) */
    A_MMX_RM = 1 << 6,
    A_CR = 1 << 7,      /* reg: a control register that exists */
    A_DR = 1 << 8,      /* reg: a debug register that exists */
    A_SREG = 1 << 9,    /* reg: a segment register (REX.R is ignored) */
};
#define A_MMX (A_MMX_REG | A_MMX_RM)
#define A_BRANCH (A_END | A_COND)
#define A_SEG(n) ((uint16_t)((n) << 12)) /* LES and its kin: into imm2 */
#define A_SEG_GET(attr) ((attr) >> 12)

struct optab_row {
    x86_op *op;
    uint32_t accept;
    uint16_t attr;
    uint8_t first, last; /* opcodes; on the x87 map (opcode & 7) * 8 + ModRM.reg */
    uint8_t form, size, imm;
    /* of the VEX form where a row is BOTH: without the leading v it is the legacy one */
    char name[21];
};

/* ROW: one opcode; ROWS: a range. */
#define ROWS(first, last, name, op, form, size, imm, accept, attr)                                 \
    {op_##op, ACCEPT((uint32_t)(accept)), (attr), (first), (last), (form), (size), (imm), name}
#define ROW(opcode, name, op, form, size, imm, accept, attr)                                       \
    ROWS(opcode, opcode, name, op, form, size, imm, accept, attr)

enum optab_map { MAP_BASE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_X87, OPTAB_MAPS };

struct optab {
    const struct optab_row *rows;
    unsigned count;
};
extern const struct optab optab_base, optab_0f, optab_0f38, optab_0f3a, optab_x87;
