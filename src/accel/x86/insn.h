// SPDX-License-Identifier: MIT
//
// One decoded x86 instruction, as the decoder makes it and as every operation function takes it.
// The decoder is pure: bytes and mode in, struct insn out. An engine may keep decoded instructions
// as long as the bytes stay the same; nothing in here depends on where the instruction lies, except
// that branches and rip-relative operands are relative to its end. Encoding: SDM vol. 2 chapter 2
// and appendix A; APM vol. 3 chapter 1.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct x86_cpu;
struct insn;

/* One operation. Faults leave by x86_raise (longjmp), before anything architectural changed. */
typedef void x86_op(struct x86_cpu *cpu, const struct insn *i);

enum x86_mode { X86_MODE16, X86_MODE32, X86_MODE64 }; /* CS.D and CS.L: real and v8086 are MODE16 */

/* Numbers beyond the 16 general registers, for base and index. */
#define REG_NONE 16 /* reads as zero */
#define REG_RIP 17  /* address of the end of this instruction */
#define REG_BLOCK 18 /* the engine's: where the running block begins; the decoder never says it */

enum insn_flag {
    INSN_MEM = 1 << 0,      /* the r/m operand is memory: base, index, scale, disp, seg say where */
    INSN_LOCK = 1 << 1,
    INSN_REP = 1 << 2,      /* F3: REP or REPE, also when it selected the opcode */
    INSN_REPNE = 1 << 3,    /* F2; of the two the last one alone is set */
    INSN_REX = 1 << 4,      /* any REX prefix: byte registers 4-7 are SPL..DIL, else AH..BH */
    INSN_REXW = 1 << 5,     /* REX.W or VEX.W */
    INSN_VEX = 1 << 6,
    INSN_VEX_L = 1 << 7,    /* 256 bits: opsize is 32. Clear on scalar forms, where L is ignored */
    INSN_OPSIZE = 1 << 8,   /* a 66 prefix was there (also when it selected the opcode) */
    INSN_SEGPREFIX = 1 << 9, /* an effective segment override */
    INSN_ENDS_BLOCK = 1 << 10, /* may change rip other than to the next instruction, or what
                                * later bytes mean (mode, paging), or touches devices */
    INSN_COND_END = 1 << 11,   /* conditional branch (a subset of ENDS_BLOCK) */
    INSN_VSIB = 1 << 12,       /* gather: index is a vector register (0-15), never REG_NONE */
};

struct insn {
    /*
     * never NULL: what cannot be decoded is op_ud (raises #UD) or op_too_long (15-byte limit:
     * #GP)
     */
    x86_op *op;
    int64_t imm;     /* immediate, sign- or zero-extended as ops.h says; branch displacement; far
                      * offset (selector in imm2); moffs */
    int32_t disp;    /* of the memory operand */
    uint16_t flags;  /* enum insn_flag */
    union {
        uint16_t imm2;   /* ENTER's level, far selector, segment register of LDS to LGS */
        uint16_t exit;   /* the engine's, in near branches */
    };
    uint16_t id;     /* row of the opcode table: for printing, statistics and specialisation */
    uint8_t len;     /* bytes, 1 to 15 */
    uint8_t opsize;  /* effective operand size in bytes: 1, 2, 4, 8; x87 10; vectors 16 or 32 */
    uint8_t adsize;  /* effective address size in bytes: 2, 4, 8 */
    uint8_t reg;     /* ModRM.reg, or the register in the opcode byte; 0-15 */
    uint8_t rm;      /* ModRM.rm as a register when !INSN_MEM; 0-15 */
    union {
        uint8_t vvvv;    /* VEX.vvvv, 0-15 */
        uint8_t count;   /* the engine's, in near branches */
    };
    uint8_t base, index, scale; /* scale: shift count 0-3 */
    /* enum cpu_sreg of the memory operand, default or override; of string source too */
    uint8_t seg;
    /* last opcode byte: condition in its low nibble for Jcc, SETcc, CMOVcc; low bits for shifts */
    uint8_t opcode;
    uint8_t modrm;   /* as it stands, where there is one */
    /* the engine's: distance from the beginning of the block to the end of this instruction */
    uint16_t end;
};

/*
 * Decode one instruction from at most 15 bytes. `avail` is how many bytes are readable from there
 * on (1 to 15): returns the length, or 0 when more bytes than `avail` are needed (the caller
 * fetches further, which may fault). Undefined and over-long encodings decode to an instruction
 * whose op raises the fault, with the length seen so far.
 */
unsigned x86_decode(struct insn *out, const uint8_t *bytes, unsigned avail, enum x86_mode mode);

/* Mnemonic of a table row, lower case, for traces. */
const char *x86_insn_name(const struct insn *i);
