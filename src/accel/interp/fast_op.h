// SPDX-License-Identifier: MIT
//
// What handlers of single forms are made of: bodies are always-inline functions `bool NAME(cpu, i,
// size, form)` that do the work or, having changed nothing, say false; macros instantiate them by
// size and form, and make the tables fast_choose looks them up in. All of it is for 64-bit mode
// with 64-bit addresses.
#pragma once

#include "src/accel/interp/fast.h"
#include "src/accel/x86/ops.h"
#include "src/accel/x86/regs.h"

/*
 * Where the r/m operand is. The first two memory forms are for segments whose base is 0 in 64-bit
 * mode.
 */
enum fast_form {
    FORM_REG,
    FORM_BASE,  /* base + disp */
    FORM_INDEX, /* base + index * scale + disp */
    FORM_SEG,   /* the same in FS or GS */
    FORMS
};

/* What makes a form unfit: byte registers AH to BH. */
enum fast_bytes {
    BYTES_NONE = 0,
    BYTES_REG = 1,    /* i->reg is a byte register where opsize is 1 */
    BYTES_RM = 2,     /* so is the r/m operand */
    BYTES_SOURCE = 4, /* the r/m operand is a byte whatever opsize says */
};

struct fast_row {
    x86_op *op;
    unsigned bytes;                 /* enum fast_bytes */
    fast_handler *handler[FORMS][4]; /* by form, log2 of opsize; NULL: none */
};

struct fast_cond_row {
    x86_op *op;
    fast_handler *handler[16][4]; /* by condition, log2 of opsize; operand: FORM_REG */
};

/* Each file's table. */
extern const struct fast_row fast_alu_rows[], fast_mov_rows[], fast_flow_rows[], fast_quiet_rows[];
extern const unsigned fast_alu_nrows, fast_mov_nrows, fast_flow_nrows, fast_quiet_nrows;
extern const struct fast_cond_row fast_cond_rows[3]; /* op_jcc, op_setcc, op_cmovcc */

/* A comparison and the Jcc behind it in one handler, for the comparison's slot; NULL: none. */
fast_handler *fast_compare_jump(const struct insn *compare, const struct insn *jcc,
                                enum fast_form form);

/*
 * Does nobody see the flags that an instruction before this one leaves, given whether somebody sees
 * those of this one?
 */
bool fast_flags_dead_before(const struct insn *i, bool dead_behind);

/* A direct branch on condition or without, or a call, to its own page or another one. */
fast_handler *fast_direct(const struct insn *i, bool near);

/* Behind the last instruction of a block, when nothing branched. */
fast_handler fast_end_near, fast_end_far;

ALWAYS_INLINE void fast_next(struct x86_cpu *cpu, const struct slot *s)
{
    s++;
    __asm__("" : "+r"(s)); /* one register for s, and an indirect jump through it */
    s->run(cpu, s);
}

ALWAYS_INLINE uint64_t fast_rip(const struct x86_cpu *cpu, const struct insn *i)
{
    return cpu->gpr[REG_BLOCK] + i->end;
}

ALWAYS_INLINE gva_t fast_address(const struct x86_cpu *cpu, const struct insn *i,
                                 enum fast_form form)
{
    uint64_t off = cpu->gpr[i->base] + (uint64_t)(int64_t)i->disp;
    if (form != FORM_BASE)
        off += cpu->gpr[i->index] << i->scale;
    if (form == FORM_SEG)
        off += cpu->seg_base[i->seg];
    return off;
}

/* Host address of plain RAM; false: the slow way. */
ALWAYS_INLINE bool fast_readable(const struct x86_cpu *cpu, gva_t va, unsigned size, uint8_t **host)
{
    const struct tlb_entry *e = tlb_at(cpu, va);
    *host = (uint8_t *)(va + e->addend);
    return __builtin_expect(e->read_tag == tlb_want(cpu, va, size), 1);
}

ALWAYS_INLINE bool fast_writable(const struct x86_cpu *cpu, gva_t va, unsigned size, uint8_t **host)
{
    const struct tlb_entry *e = tlb_at(cpu, va);
    *host = (uint8_t *)(va + e->addend);
    return __builtin_expect(e->write_tag == tlb_want(cpu, va, size), 1);
}

ALWAYS_INLINE uint64_t fast_load(const uint8_t *host, unsigned size)
{
    uint64_t v = 0;
    __builtin_memcpy(&v, host, size);
    return v;
}

ALWAYS_INLINE void fast_store(uint8_t *host, uint64_t v, unsigned size)
{
    __builtin_memcpy(host, &v, size);
}

/* The r/m operand, read alone. */
ALWAYS_INLINE bool fast_rm_read(const struct x86_cpu *cpu, const struct insn *i, unsigned size,
                                enum fast_form form, uint64_t *v)
{
    uint8_t *host;
    if (form == FORM_REG) {
        *v = gpr_read(cpu, i->rm, size);
        return true;
    }
    if (!fast_readable(cpu, fast_address(cpu, i, form), size, &host))
        return false;
    *v = fast_load(host, size);
    return true;
}

/* --- instantiation --- */

#define FAST(name, size, form)                                                                     \
    static void fast_##name##_##size##_##form(struct x86_cpu *cpu, const struct slot *s)           \
    {                                                                                              \
        if (__builtin_expect(name(cpu, &s->insn, size, form), 1))                                  \
            fast_next(cpu, s);                                                                     \
        else                                                                                       \
            fast_call(cpu, s);                                                                     \
    }

#define FAST_FORMS(name, size)                                                                     \
    FAST(name, size, FORM_REG)                                                                     \
    FAST(name, size, FORM_BASE)                                                                    \
    FAST(name, size, FORM_INDEX)                                                                   \
    FAST(name, size, FORM_SEG)
#define FAST_WORDS(name) FAST_FORMS(name, 4) FAST_FORMS(name, 8)
#define FAST_SIZES(name) FAST_FORMS(name, 1) FAST_FORMS(name, 2) FAST_WORDS(name)
#define FAST_REGS(name) FAST(name, 4, FORM_REG) FAST(name, 8, FORM_REG)

#define ROW_FORM(name, form)                                                                       \
    [form] = {fast_##name##_1_##form, fast_##name##_2_##form, fast_##name##_4_##form,              \
              fast_##name##_8_##form}
#define ROW_FORM_WORDS(name, form)                                                                 \
    [form] = {NULL, NULL, fast_##name##_4_##form, fast_##name##_8_##form}

#define ROW_SIZES(name, bytes)                                                                     \
    {op_##name, bytes, {ROW_FORM(name, FORM_REG), ROW_FORM(name, FORM_BASE),                       \
                        ROW_FORM(name, FORM_INDEX), ROW_FORM(name, FORM_SEG)}}
#define ROW_WORDS(name, bytes)                                                                     \
    {op_##name, bytes, {ROW_FORM_WORDS(name, FORM_REG), ROW_FORM_WORDS(name, FORM_BASE),           \
                        ROW_FORM_WORDS(name, FORM_INDEX), ROW_FORM_WORDS(name, FORM_SEG)}}
#define ROW_REGS(name) {op_##name, BYTES_NONE, {ROW_FORM_WORDS(name, FORM_REG)}}
