// SPDX-License-Identifier: MIT
//
// x87: control and status words, tags, environment and state images, FWAIT. SDM vol. 1
// sections 8.1, 8.3.8, 8.6; formats: figures 8-9 to 8-12.
#include <string.h>

#include "ops.h"
#include "x87.h"

/* --- the host --- */

uint16_t x87_run_careful(const struct x87_state *x, x87_host *fn, void *r, const struct x87_reg *a,
                         const void *b)
{
    __asm__ volatile("fnclex");
    x87_host_control(x->control);
    uint16_t sw = fn(r, a, b);
    __asm__ volatile("fninit"); /* X87_CONTROL_DEFAULT, no flags, empty stack, whatever happened */
    return sw;
}

/* --- words --- */

uint16_t x87_status_word(const struct x86_cpu *cpu)
{
    return (uint16_t)(cpu->x87.status | cpu->x87.top << 11);
}

void x87_set_words(struct x86_cpu *cpu, uint16_t control, uint16_t status)
{
    cpu->x87.control = (uint16_t)((control & X87_CONTROL_VALID) | 0x40);
    cpu->x87.status = status & (X87_FLAGS | X87_SF | X87_C0 | X87_C1 | X87_C2 | X87_C3);
    cpu->x87.top = status >> 11 & 7;
    x87_update_es(cpu);
}

void x87_init(struct x86_cpu *cpu)
{
    struct x87_state *x = &cpu->x87;
    x87_set_words(cpu, X87_CONTROL_DEFAULT, 0);
    x->empty = 0xff;
    x->opcode = x->cs = x->ds = 0;
    x->ip = x->dp = 0;
}

/* Two bits for each physical register: valid, zero, special, empty. */
static uint16_t tag_word(const struct x87_state *x)
{
    unsigned tags = 0;
    for (unsigned n = 0; n < 8; n++) {
        const struct x87_reg *r = &x->st[n];
        unsigned exponent = r->sign_exp & 0x7fffu, tag = 0;
        if (x->empty >> n & 1)
            tag = 3;
        else if (!exponent && !r->mantissa)
            tag = 1;
        else if (!exponent || exponent == 0x7fff || !(r->mantissa >> 63))
            tag = 2;
        tags |= tag << n * 2;
    }
    return (uint16_t)tags;
}

/* Only whether a register is empty is remembered: the rest follows from its value. */
static void set_tag_word(struct x87_state *x, unsigned tags)
{
    x->empty = 0;
    for (unsigned n = 0; n < 8; n++)
        x->empty |= (uint8_t)((tags >> n * 2 & 3) == 3 ? 1u << n : 0);
}

/* --- memory --- */

#define CHUNK 32u /* of mmu_read and mmu_write */

void x87_probe_image(struct x86_cpu *cpu, gva_t va, unsigned size, bool write)
{
    void (*probe)(struct x86_cpu *, gva_t, unsigned) = write ? mmu_probe_write : mmu_probe_read;
    probe(cpu, va, size % 4 ? 2 : 4); /* 14 and 94 bytes: the 16-bit formats */
    probe(cpu, (va + size - 1) & cpu->address_mask, 1);
}

/* Memory operand of any size, all or nothing. */
static void store_image(struct x86_cpu *cpu, const struct insn *i, const void *buf, unsigned size)
{
    gva_t va = insn_linear(cpu, i, size, true);
    x87_probe_image(cpu, va, size, true);
    for (unsigned at = 0; at < size; at += CHUNK)
        mmu_write(cpu, (va + at) & cpu->address_mask, (const uint8_t *)buf + at,
                  size - at < CHUNK ? size - at : CHUNK);
}

static void load_image(struct x86_cpu *cpu, const struct insn *i, void *buf, unsigned size)
{
    gva_t va = insn_linear(cpu, i, size, false);
    x87_probe_image(cpu, va, size, false);
    for (unsigned at = 0; at < size; at += CHUNK)
        mmu_read(cpu, (va + at) & cpu->address_mask, (uint8_t *)buf + at,
                 size - at < CHUNK ? size - at : CHUNK);
}

/* --- control words --- */

/* FNOP waits; FNENI, FNDISI and FNSETPM (DB) do nothing at all. */
void op_fnop(struct x86_cpu *cpu, const struct insn *i)
{
    if (i->opcode == 0xdb)
        x87_enter_no_wait(cpu);
    else
        x87_enter(cpu);
}

void op_fwait(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        x86_raise(cpu, X86_NM);
    if (cpu->x87.status & X87_ES)
        x86_raise(cpu, X86_MF);
}

void op_fldcw(struct x86_cpu *cpu, const struct insn *i)
{
    x87_enter(cpu);
    uint16_t control = mem_read16(cpu, insn_linear(cpu, i, 2, false));
    x87_set_words(cpu, control, x87_status_word(cpu));
}

void op_fnstcw(struct x86_cpu *cpu, const struct insn *i)
{
    x87_enter_no_wait(cpu);
    mem_write16(cpu, insn_linear(cpu, i, 2, true), cpu->x87.control);
}

void op_fnstsw_m(struct x86_cpu *cpu, const struct insn *i)
{
    x87_enter_no_wait(cpu);
    mem_write16(cpu, insn_linear(cpu, i, 2, true), x87_status_word(cpu));
}

void op_fnstsw_ax(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x87_enter_no_wait(cpu);
    gpr_write(cpu, RAX, x87_status_word(cpu), 2);
}

void op_fnclex(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x87_enter_no_wait(cpu);
    x87_put_bits(cpu, X87_FLAGS | X87_SF | X87_ES | X87_B, 0);
}

void op_fninit(struct x86_cpu *cpu, const struct insn *i)
{
    (void)i;
    x87_enter_no_wait(cpu);
    x87_init(cpu);
}

/* --- the stack itself --- */

ALWAYS_INLINE void rotate(struct x86_cpu *cpu, const struct insn *i, unsigned by)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    cpu->x87.top = (uint8_t)((cpu->x87.top + by) & 7);
    x87_put_bits(cpu, X87_C1, 0);
}

void op_fincstp(struct x86_cpu *cpu, const struct insn *i)
{
    rotate(cpu, i, 1);
}

void op_fdecstp(struct x86_cpu *cpu, const struct insn *i)
{
    rotate(cpu, i, 7);
}

ALWAYS_INLINE void free_register(struct x86_cpu *cpu, const struct insn *i, bool pop)
{
    x87_enter(cpu);
    x87_note(cpu, i);
    cpu->x87.empty |= (uint8_t)(1u << ((cpu->x87.top + i->rm) & 7));
    x87_put_bits(cpu, X87_C1, 0);
    if (pop)
        x87_pop(cpu);
}

void op_ffree(struct x86_cpu *cpu, const struct insn *i)
{
    free_register(cpu, i, false);
}

void op_ffreep(struct x86_cpu *cpu, const struct insn *i)
{
    free_register(cpu, i, true);
}

/* --- environment: seven words or doublewords --- */

/* Pointers are selector and offset in protected mode, linear addresses mixed with the opcode in
 * real and v8086 mode. */
static unsigned env_make(const struct x86_cpu *cpu, const struct insn *i, uint8_t *buf)
{
    const struct x87_state *x = &cpu->x87;
    bool wide = i->opsize != 2;
    uint32_t word[7] = {x->control, x87_status_word(cpu), tag_word(x)};
    if (x86_real_or_v86(cpu)) {
        uint32_t ip = (uint32_t)x->ip + ((uint32_t)x->cs << 4),
                 dp = (uint32_t)x->dp + ((uint32_t)x->ds << 4);
        word[3] = ip & 0xffff;
        word[4] = (ip >> 16 & (wide ? 0xffffu : 0xfu)) << 12 | x->opcode;
        word[5] = dp & 0xffff;
        word[6] = (dp >> 16 & (wide ? 0xffffu : 0xfu)) << 12;
    } else {
        word[3] = (uint32_t)x->ip;
        word[4] = x->cs | (uint32_t)x->opcode << 16;
        word[5] = (uint32_t)x->dp;
        word[6] = x->ds;
    }
    if (!wide) {
        for (unsigned n = 0; n < 7; n++) {
            uint16_t half = (uint16_t)word[n];
            memcpy(buf + n * 2, &half, 2);
        }
        return 14;
    }
    for (unsigned n = 0; n < 3; n++)
        word[n] |= 0xffff0000u; /* unused halves read as ones */
    if (!x86_real_or_v86(cpu))
        word[6] |= 0xffff0000u;
    memcpy(buf, word, 28);
    return 28;
}

static void env_take(struct x86_cpu *cpu, const struct insn *i, const uint8_t *buf)
{
    struct x87_state *x = &cpu->x87;
    bool wide = i->opsize != 2;
    uint32_t word[7];
    for (unsigned n = 0; n < 7; n++) {
        word[n] = 0;
        memcpy(&word[n], buf + n * (wide ? 4u : 2u), wide ? 4 : 2);
    }
    x87_set_words(cpu, (uint16_t)word[0], (uint16_t)word[1]);
    set_tag_word(x, word[2]);
    if (x86_real_or_v86(cpu)) {
        x->ip = (word[3] & 0xffff) | (word[4] >> 12 & 0xffff) << 16;
        x->dp = (word[5] & 0xffff) | (word[6] >> 12 & 0xffff) << 16;
        x->cs = x->ds = 0;
        x->opcode = word[4] & 0x7ff;
    } else {
        x->ip = word[3];
        x->cs = (uint16_t)word[4];
        x->opcode = word[4] >> 16 & 0x7ff;
        x->dp = word[5];
        x->ds = (uint16_t)word[6];
    }
}

void op_fnstenv(struct x86_cpu *cpu, const struct insn *i)
{
    uint8_t buf[28];
    x87_enter_no_wait(cpu);
    unsigned size = env_make(cpu, i, buf);
    store_image(cpu, i, buf, size);
    x87_set_words(cpu, cpu->x87.control | X87_FLAGS, x87_status_word(cpu));
}

void op_fldenv(struct x86_cpu *cpu, const struct insn *i)
{
    uint8_t buf[28];
    x87_enter(cpu);
    load_image(cpu, i, buf, i->opsize == 2 ? 14 : 28);
    env_take(cpu, i, buf);
}

/* --- state: environment, then ST(0) to ST(7) --- */

void op_fnsave(struct x86_cpu *cpu, const struct insn *i)
{
    uint8_t buf[108];
    x87_enter_no_wait(cpu);
    unsigned size = env_make(cpu, i, buf);
    for (unsigned n = 0; n < 8; n++, size += 10)
        memcpy(buf + size, x87_st(cpu, n), 10);
    store_image(cpu, i, buf, size);
    x87_init(cpu);
}

void op_frstor(struct x86_cpu *cpu, const struct insn *i)
{
    uint8_t buf[108];
    unsigned at = i->opsize == 2 ? 14 : 28;
    x87_enter(cpu);
    load_image(cpu, i, buf, at + 80);
    env_take(cpu, i, buf);
    for (unsigned n = 0; n < 8; n++, at += 10)
        memcpy(x87_st(cpu, n), buf + at, 10);
}
