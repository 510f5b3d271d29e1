// SPDX-License-Identifier: MIT
//
// Handlers of the interpreter for near branches, SETcc and CMOVcc by condition, and compares with
// the branch that follows them: see fast.h.
#include "src/accel/interp/fast_op.h"
#include "src/accel/interp/interp_priv.h"
#include "src/accel/x86/alu.h"

/* --- from block to block --- */

/* Leave the block of s for `rip`, where `to` is (or may not be any more). */
ALWAYS_INLINE void enter(struct x86_cpu *cpu, const struct slot *s, struct block *to, uint64_t rip,
                         struct exit *exit)
{
    struct interp_cpu *c = (struct interp_cpu *)cpu;
    uint64_t count = cpu->icount + s->insn.count;
    cpu->icount = count;
    if (__builtin_expect(count + to->need <= c->chain_end, 1) &&
        __builtin_expect(!atomic_load_explicit(&cpu->attention, memory_order_relaxed), 1)) {
        cpu->gpr[REG_BLOCK] = rip;
        c->running = to;
        const struct slot *first = to->slots;
        __asm__("" : "+r"(first));
        first->run(cpu, first);
        return;
    }
    cpu->next_rip = rip;
    c->exit = exit;
}

/* To the loop, which finds the block and fills the exit. */
ALWAYS_INLINE void look_up(struct x86_cpu *cpu, const struct slot *s, uint64_t rip,
                           struct exit *exit)
{
    struct interp_cpu *c = (struct interp_cpu *)cpu;
    cpu->icount += s->insn.count;
    cpu->next_rip = rip;
    c->exit = exit;
}

ALWAYS_INLINE struct exit *exit_of(const struct slot *s)
{
    return (struct exit *)((uintptr_t)s + s->insn.exit);
}

ALWAYS_INLINE uint64_t exit_target(const struct x86_cpu *cpu, const struct slot *s)
{
    return cpu->gpr[REG_BLOCK] + (uint64_t)(int64_t)s->insn.disp;
}

ALWAYS_INLINE void leave_near(struct x86_cpu *cpu, const struct slot *s)
{
    struct exit *e = exit_of(s);
    enter(cpu, s, e->to, exit_target(cpu, s), e);
}

ALWAYS_INLINE bool holds(const struct x86_cpu *cpu, const struct exit *e, uint64_t rip)
{
    return __builtin_expect(e->va == rip && e->key == ((const struct interp_cpu *)cpu)->key, 1);
}

/* What an exit was filled with is canonical. False: the operation function has to see to it. */
ALWAYS_INLINE bool leave_far(struct x86_cpu *cpu, const struct slot *s)
{
    struct exit *e = exit_of(s);
    uint64_t rip = exit_target(cpu, s);
    if (holds(cpu, e, rip))
        enter(cpu, s, e->to, rip, e);
    else if (x86_canonical(rip))
        look_up(cpu, s, rip, e);
    else
        return false;
    return true;
}

void fast_end_near(struct x86_cpu *cpu, const struct slot *s)
{
    leave_near(cpu, s);
}

void fast_end_far(struct x86_cpu *cpu, const struct slot *s)
{
    if (!leave_far(cpu, s))
        look_up(cpu, s, exit_target(cpu, s), NULL);
}

/* --- JMP, CALL, RET --- */

ALWAYS_INLINE bool push_return(struct x86_cpu *cpu, const struct insn *i)
{
    uint8_t *host;
    gva_t va = cpu->gpr[RSP] - 8;
    if (!fast_writable(cpu, va, 8, &host))
        return false;
    fast_store(host, fast_rip(cpu, i), 8);
    cpu->gpr[RSP] = va;
    return true;
}

static void fast_jmp_near(struct x86_cpu *cpu, const struct slot *s)
{
    leave_near(cpu, s);
}

static void fast_jmp_far(struct x86_cpu *cpu, const struct slot *s)
{
    if (__builtin_expect(!leave_far(cpu, s), 0))
        fast_call_last(cpu, s);
}

static void fast_call_near(struct x86_cpu *cpu, const struct slot *s)
{
    if (__builtin_expect(push_return(cpu, &s->insn), 1))
        leave_near(cpu, s);
    else
        fast_call_last(cpu, s);
}

static void fast_call_far(struct x86_cpu *cpu, const struct slot *s)
{
    struct exit *e = exit_of(s);
    uint64_t rip = exit_target(cpu, s);
    if (holds(cpu, e, rip)) {
        if (__builtin_expect(push_return(cpu, &s->insn), 1))
            enter(cpu, s, e->to, rip, e);
        else
            fast_call_last(cpu, s);
    } else if (x86_canonical(rip) && push_return(cpu, &s->insn)) {
        look_up(cpu, s, rip, e);
    } else {
        fast_call_last(cpu, s);
    }
}

/* `commit` is done, if it can be, when the target is known to be good; it says whether it was. */
#define LEAVE_INDIRECT(cpu, s, rip, commit)                                                        \
    do {                                                                                           \
        const struct exit *t_ = interp_target_at((struct interp_cpu *)cpu, rip);                   \
        bool known_ = holds(cpu, t_, rip);                                                         \
        if (__builtin_expect(!(known_ || x86_canonical(rip)) || !(commit), 0))                     \
            fast_call_last(cpu, s);                                                                \
        else if (known_)                                                                           \
            enter(cpu, s, t_->to, rip, NULL);                                                      \
        else                                                                                       \
            look_up(cpu, s, rip, NULL);                                                            \
    } while (0)

#define INDIRECT(name, form, commit)                                                               \
    static void fast_##name##_8_##form(struct x86_cpu *cpu, const struct slot *s)                  \
    {                                                                                              \
        const struct insn *i = &s->insn;                                                           \
        uint64_t target;                                                                           \
        if (__builtin_expect(!fast_rm_read(cpu, i, 8, form, &target), 0))                          \
            fast_call_last(cpu, s);                                                                \
        else                                                                                       \
            LEAVE_INDIRECT(cpu, s, target, commit);                                                \
    }

INDIRECT(jmp_m, FORM_REG, true)
INDIRECT(jmp_m, FORM_BASE, true)
INDIRECT(jmp_m, FORM_INDEX, true)
INDIRECT(call_m, FORM_REG, push_return(cpu, i))
INDIRECT(call_m, FORM_BASE, push_return(cpu, i))
INDIRECT(call_m, FORM_INDEX, push_return(cpu, i))

static void fast_ret(struct x86_cpu *cpu, const struct slot *s)
{
    uint8_t *host;
    gva_t sp = cpu->gpr[RSP];
    if (__builtin_expect(!fast_readable(cpu, sp, 8, &host), 0)) {
        fast_call_last(cpu, s);
        return;
    }
    uint64_t target = fast_load(host, 8);
    LEAVE_INDIRECT(cpu, s, target, (cpu->gpr[RSP] = sp + 8, true));
}

#define FLOW_FORM(name, form) [form] = {[3] = fast_##name##_8_##form}

const struct fast_row fast_flow_rows[] = {
    {op_jmp_i, BYTES_NONE, {[FORM_REG] = {[3] = fast_jmp_near}}},
    {op_call_i, BYTES_NONE, {[FORM_REG] = {[3] = fast_call_near}}},
    {op_ret, BYTES_NONE, {[FORM_REG] = {[3] = fast_ret}}},
    {op_jmp_m, BYTES_NONE,
     {FLOW_FORM(jmp_m, FORM_REG), FLOW_FORM(jmp_m, FORM_BASE), FLOW_FORM(jmp_m, FORM_INDEX)}},
    {op_call_m, BYTES_NONE,
     {FLOW_FORM(call_m, FORM_REG), FLOW_FORM(call_m, FORM_BASE), FLOW_FORM(call_m, FORM_INDEX)}},
};
const unsigned fast_flow_nrows = ARRAY_LEN(fast_flow_rows);

/* --- on condition --- */

#define EACH_CONDITION(X)                                                                          \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

#define CONDITION(cc)                                                                              \
    static void fast_jcc_##cc(struct x86_cpu *cpu, const struct slot *s)                           \
    {                                                                                              \
        if (flags_cond(cpu, cc))                                                                   \
            leave_near(cpu, s);                                                                    \
        else                                                                                       \
            fast_next(cpu, s);                                                                     \
    }                                                                                              \
    static void fast_jcc_far_##cc(struct x86_cpu *cpu, const struct slot *s)                       \
    {                                                                                              \
        if (!flags_cond(cpu, cc))                                                                  \
            fast_next(cpu, s);                                                                     \
        else if (__builtin_expect(!leave_far(cpu, s), 0))                                          \
            fast_call_last(cpu, s);                                                                \
    }                                                                                              \
    static void fast_setcc_##cc(struct x86_cpu *cpu, const struct slot *s)                         \
    {                                                                                              \
        gpr_write(cpu, s->insn.rm, flags_cond(cpu, cc), 1);                                        \
        fast_next(cpu, s);                                                                         \
    }                                                                                              \
    static void fast_cmovcc_4_##cc(struct x86_cpu *cpu, const struct slot *s)                      \
    {                                                                                              \
        unsigned from = flags_cond(cpu, cc) ? s->insn.rm : s->insn.reg;                            \
        cpu->gpr[s->insn.reg] = (uint32_t)cpu->gpr[from];                                          \
        fast_next(cpu, s);                                                                         \
    }                                                                                              \
    static void fast_cmovcc_8_##cc(struct x86_cpu *cpu, const struct slot *s)                      \
    {                                                                                              \
        unsigned from = flags_cond(cpu, cc) ? s->insn.rm : s->insn.reg;                            \
        cpu->gpr[s->insn.reg] = cpu->gpr[from];                                                    \
        fast_next(cpu, s);                                                                         \
    }
EACH_CONDITION(CONDITION)

#define LIST_JCC(cc) {[3] = fast_jcc_##cc},
#define LIST_SETCC(cc) {[0] = fast_setcc_##cc},
#define LIST_CMOVCC(cc) {[2] = fast_cmovcc_4_##cc, [3] = fast_cmovcc_8_##cc},

const struct fast_cond_row fast_cond_rows[] = {
    {op_jcc, {EACH_CONDITION(LIST_JCC)}},
    {op_setcc, {EACH_CONDITION(LIST_SETCC)}},
    {op_cmovcc, {EACH_CONDITION(LIST_CMOVCC)}},
};

#define LIST_NEAR(cc) fast_jcc_##cc,
#define LIST_FAR(cc) fast_jcc_far_##cc,
static fast_handler *const jcc_near[] = {EACH_CONDITION(LIST_NEAR)};
static fast_handler *const jcc_far[] = {EACH_CONDITION(LIST_FAR)};

fast_handler *fast_direct(const struct insn *i, bool near)
{
    if (i->op == op_jmp_i)
        return near ? fast_jmp_near : fast_jmp_far;
    if (i->op == op_call_i)
        return near ? fast_call_near : fast_call_far;
    return (near ? jcc_near : jcc_far)[i->opcode & 15];
}

/* --- compare and branch --- */

/* Condition after a - b, from the operands; cc is a constant. O, S and P come from the flags. */
ALWAYS_INLINE bool compare_cond(const struct x86_cpu *cpu, uint64_t a, uint64_t b, unsigned cc,
                                unsigned size)
{
    int64_t sa = (int64_t)sign_extend(a, size), sb = (int64_t)sign_extend(b, size);
    switch (cc) {
    case 2: return a < b;
    case 3: return a >= b;
    case 4: return a == b;
    case 5: return a != b;
    case 6: return a <= b;
    case 7: return a > b;
    case 12: return sa < sb;
    case 13: return sa >= sb;
    case 14: return sa <= sb;
    case 15: return sa > sb;
    default: return flags_cond(cpu, cc);
    }
}

#define COMPARE_JUMP(name, size, form, cc, a_is, b_is, set, cond)                                  \
    static void fast_##name##_##size##_##form##_##cc(struct x86_cpu *cpu, const struct slot *s)    \
    {                                                                                              \
        const struct insn *i = &s->insn;                                                           \
        uint64_t rm;                                                                               \
        if (!fast_rm_read(cpu, i, size, form, &rm)) {                                              \
            fast_call(cpu, s);                                                                     \
            return;                                                                                \
        }                                                                                          \
        uint64_t a = a_is, b = b_is;                                                               \
        set(cpu, a, b, size);                                                                      \
        if (cond)                                                                                  \
            leave_near(cpu, s + 1);                                                                \
        else                                                                                       \
            fast_next(cpu, s + 1);                                                                 \
    }

#define CMP_COND(cc, size) compare_cond(cpu, a, b, cc, size)
#define TEST_COND(cc, size) flags_cond(cpu, cc)
#define IN_REG(size) gpr_read(cpu, i->reg, size)
#define IN_IMM(size) ((uint64_t)i->imm & size_mask(size))

#define COMPARE_JUMPS(size, form, cc)                                                              \
    COMPARE_JUMP(cmp_mr, size, form, cc, rm, IN_REG(size), alu_sub, CMP_COND(cc, size))            \
    COMPARE_JUMP(cmp_rm, size, form, cc, IN_REG(size), rm, alu_sub, CMP_COND(cc, size))            \
    COMPARE_JUMP(cmp_mi, size, form, cc, rm, IN_IMM(size), alu_sub, CMP_COND(cc, size))            \
    COMPARE_JUMP(test_mr, size, form, cc, rm, IN_REG(size), alu_and, TEST_COND(cc, size))          \
    COMPARE_JUMP(test_mi, size, form, cc, rm, IN_IMM(size), alu_and, TEST_COND(cc, size))

#define COMPARE_JUMPS_REG(cc)                                                                      \
    COMPARE_JUMPS(1, FORM_REG, cc) COMPARE_JUMPS(4, FORM_REG, cc) COMPARE_JUMPS(8, FORM_REG, cc)   \
    COMPARE_JUMPS(1, FORM_BASE, cc) COMPARE_JUMPS(4, FORM_BASE, cc) COMPARE_JUMPS(8, FORM_BASE, cc)
EACH_CONDITION(COMPARE_JUMPS_REG)

#define SIZES_OF(name, form, cc)                                                                   \
    [cc] = {fast_##name##_1_##form##_##cc, NULL, fast_##name##_4_##form##_##cc,                    \
            fast_##name##_8_##form##_##cc}
#define LIST(name, form)                                                                           \
    {op_##name, {SIZES_OF(name, form, 0), SIZES_OF(name, form, 1), SIZES_OF(name, form, 2),        \
                 SIZES_OF(name, form, 3), SIZES_OF(name, form, 4), SIZES_OF(name, form, 5),        \
                 SIZES_OF(name, form, 6), SIZES_OF(name, form, 7), SIZES_OF(name, form, 8),        \
                 SIZES_OF(name, form, 9), SIZES_OF(name, form, 10), SIZES_OF(name, form, 11),      \
                 SIZES_OF(name, form, 12), SIZES_OF(name, form, 13), SIZES_OF(name, form, 14),     \
                 SIZES_OF(name, form, 15)}}

static const struct fast_cond_row compare_rows[][2] = {
    {LIST(cmp_mr, FORM_REG), LIST(cmp_mr, FORM_BASE)},
    {LIST(cmp_rm, FORM_REG), LIST(cmp_rm, FORM_BASE)},
    {LIST(cmp_mi, FORM_REG), LIST(cmp_mi, FORM_BASE)},
    {LIST(test_mr, FORM_REG), LIST(test_mr, FORM_BASE)},
    {LIST(test_mi, FORM_REG), LIST(test_mi, FORM_BASE)},
};

fast_handler *fast_compare_jump(const struct insn *compare, const struct insn *jcc,
                                enum fast_form form)
{
    if (form > FORM_BASE)
        return NULL;
    for (unsigned r = 0; r < ARRAY_LEN(compare_rows); r++) {
        const struct fast_cond_row *row = &compare_rows[r][form];
        if (row->op == compare->op)
            return row->handler[jcc->opcode & 15][__builtin_ctz(compare->opsize)];
    }
    return NULL;
}
