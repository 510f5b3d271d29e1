// SPDX-License-Identifier: MIT
#include "gen.h"

#include <string.h>

#include "encoding.h"

/* --- random numbers: splitmix64 --- */

uint64_t rng_next(struct rng *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint32_t rng_below(struct rng *r, uint32_t n)
{
    return (uint32_t)((rng_next(r) >> 32) * n >> 32);
}

/* --- building --- */

enum { RAX_, RCX_, RDX_, RBX_, RSP_, RBP_, RSI_, RDI_ };

struct builder {
    struct rng *r;
    struct sequence *seq;
    uint8_t base[2], index; /* registers kept as pointers into the sandbox, and as a small number */
};

static struct seq_insn *new_insn(struct builder *b)
{
    struct seq_insn *i = &b->seq->insn[b->seq->n];
    *i = (struct seq_insn){0};
    if (b->seq->n < SEQ_MAX - 1)
        b->seq->n++;
    return i;
}

static void put(struct seq_insn *i, uint64_t v, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++)
        i->bytes[i->len++] = (uint8_t)(v >> n * 8);
}

static uint32_t random_pointer(struct rng *r, unsigned align)
{
    uint32_t off = rng_below(r, SANDBOX_SIZE / 2) + SANDBOX_SIZE / 4;
    if (rng_one_in(r, 4)) /* near the middle page border */
        off = SANDBOX_SIZE / 2 - 16 + rng_below(r, 32);
    return (uint32_t)SANDBOX_BASE + (off & ~(align - 1));
}

/* mov r32, imm32 */
static void set_register(struct builder *b, unsigned reg, uint32_t v)
{
    struct seq_insn *i = new_insn(b);
    if (reg >= 8)
        put(i, 0x41, 1);
    put(i, 0xb8 + (reg & 7), 1);
    put(i, v, 4);
}

/* mov r64, simm32; mov r32, imm32 */
static void set_register_signed(struct builder *b, unsigned reg, int32_t v)
{
    struct seq_insn *i = new_insn(b);
    if (!gen_mode32)
        put(i, reg >= 8 ? 0x49 : 0x48, 1);
    put(i, 0xc7, 1);
    put(i, 0xc0 | (reg & 7), 1);
    put(i, (uint32_t)v, 4);
}

/* mov r32, place of a later instruction */
static void set_register_to_code(struct builder *b, unsigned reg, unsigned skip)
{
    set_register(b, reg, 0);
    struct seq_insn *i = &b->seq->insn[b->seq->n - 1];
    i->fix = FIX_PLACE;
    i->fix_at = (uint8_t)(i->len - 4);
    i->skip = (uint8_t)skip;
}

static bool is_reserved(const struct builder *b, unsigned reg)
{
    return reg == RSP_ || reg == b->base[0] || reg == b->base[1] || reg == b->index;
}

/* A register of the file `kind`. General ones seldom disturb the pointers. */
static unsigned pick_register(struct builder *b, char kind)
{
    if (kind == 'f')
        return rng_below(b->r, 8);
    unsigned reg;
    do
        reg = rng_below(b->r, gen_mode32 ? 8 : 16);
    while (kind != 'x' && is_reserved(b, reg) && (reg == RSP_ || !rng_one_in(b->r, 64)));
    return reg;
}

struct operand { /* r/m */
    bool mem;
    uint8_t prefixes[2], n_prefixes;
    uint8_t mod, rm, sib;
    bool has_sib, rex_b, rex_x;
    uint32_t disp;
    uint8_t disp_bytes;
    bool rip;
    bool has_gs;
};

static void use_base(struct operand *o, unsigned base, uint32_t disp, unsigned disp_bytes)
{
    o->rm = base & 7;
    o->rex_b = base >= 8;
    o->disp = disp;
    o->disp_bytes = (uint8_t)disp_bytes;
    o->mod = disp_bytes == 0 ? 0 : disp_bytes == 1 ? 1 : 2;
    if (disp_bytes == 0 && (base & 7) == RBP_) { /* that form means something else */
        o->mod = 1;
        o->disp_bytes = 1;
        o->disp = 0;
    }
    if ((base & 7) == RSP_) {
        o->has_sib = true;
        o->sib = 0x24;
    }
}

/* No base, disp32; with or without an index. */
static void use_absolute(struct operand *o, uint32_t disp, int index, unsigned scale)
{
    o->mod = 0;
    o->rm = 4;
    o->has_sib = true;
    o->sib = (uint8_t)(scale << 6 | 5 | (index < 0 ? 4u : (unsigned)index & 7) << 3);
    o->rex_x = index >= 8;
    o->disp = disp;
    o->disp_bytes = 4;
}

/* At the sandbox's edge, so that it may fault. */
static uint32_t edge_address(struct rng *r)
{
    uint32_t edge = (uint32_t)SANDBOX_BASE + (rng_one_in(r, 2) ? (uint32_t)SANDBOX_SIZE : 0);
    return edge - 16 + rng_below(r, 32);
}

static void pick_memory(struct builder *b, struct operand *o, unsigned align, bool vsib)
{
    struct rng *r = b->r;
    unsigned base = rng_one_in(r, 12) ? RSP_ : b->base[rng_below(r, 2)];
    uint32_t near = rng_below(r, 1024) - 512;
    unsigned form = align ? rng_below(r, 3) : rng_below(r, gen_mode32 ? 7 : 9);
    o->mem = true;
    if (vsib) { /* index is filled in by the caller's register */
        use_base(o, base, near, 4);
        o->has_sib = true;
        o->sib = (uint8_t)(rng_below(r, 4) << 6 | (base & 7));
        o->rm = 4;
        return;
    }
    switch (form) {
    case 0:
        use_base(o, base, 0, 0);
        break;
    case 1:
        use_base(o, base, rng_below(r, 256) & ~((align ? align : 1) - 1), 1);
        break;
    case 2:
        use_base(o, base, near & ~((align ? align : 1) - 1), 4);
        break;
    case 3:
    case 4: { /* base + index * scale */
        unsigned bytes = rng_one_in(r, 2) ? 1 : 4;
        use_base(o, base, near, bytes);
        o->has_sib = true;
        o->sib = (uint8_t)(rng_below(r, 4) << 6 | (b->index & 7u) << 3 | (base & 7));
        o->rex_x = b->index >= 8;
        o->rm = 4;
        break;
    }
    case 5:
        use_absolute(o, random_pointer(r, 1), b->index, rng_below(r, 4));
        break;
    case 6:
        use_absolute(o, rng_one_in(r, 6) ? edge_address(r) : random_pointer(r, 1), -1, 0);
        break;
    case 7:
        o->rip = true;
        o->mod = 0;
        o->rm = 5;
        o->disp = random_pointer(r, 1);
        o->disp_bytes = 4;
        break;
    default: /* GS */
        o->has_gs = true;
        o->prefixes[o->n_prefixes++] = 0x65;
        use_absolute(o, rng_below(r, 1024), -1, 0);
        break;
    }
    if (!o->rip && !gen_mode32 && rng_one_in(r, 8))
        o->prefixes[o->n_prefixes++] = 0x67;
}

struct chosen { /* what gets decided before anything is emitted */
    unsigned reg, v;
    unsigned size; /* 2, 4, 8; 0 when the row has no size */
    struct operand rm;
    unsigned rm_reg;
    bool gs;     /* string source */
    bool no_rex; /* byte registers AH..BH */
};

static unsigned pick_size(struct rng *r, const struct encoding *e)
{
    switch (e->size) {
    case SIZE_V:
        return 2u << rng_below(r, gen_mode32 ? 2 : 3);
    case SIZE_W:
        return gen_mode32 ? 4 : 4u << rng_below(r, 2);
    case SIZE_D64:
        return rng_one_in(r, 6) ? 2 : gen_mode32 ? 4 : 8;
    case SIZE_16:
        return 2;
    case SIZE_64:
        return 8;
    default:
        return 0;
    }
}

/* --- what an instruction needs to run without (much) danger --- */

static void prepare_string(struct builder *b, struct chosen *c)
{
    struct rng *r = b->r;
    c->gs = !gen_mode32 && rng_one_in(r, 8);
    uint32_t dst = random_pointer(r, 1), src = random_pointer(r, 1);
    if (rng_one_in(r, 3)) /* overlap */
        src = dst - 24 + rng_below(r, 48);
    if (rng_one_in(r, 40))
        dst = edge_address(r);
    set_register(b, RSI_, c->gs ? rng_below(r, 1024) : src);
    set_register(b, RDI_, dst);
    set_register(b, RCX_, rng_one_in(r, 8) ? rng_below(r, 300) : rng_below(r, 24));
}

static void prepare_div(struct builder *b, const struct encoding *e)
{
    struct rng *r = b->r;
    if (e->byte)
        set_register(b, RAX_, rng_below(r, 0x200));
    else if (rng_one_in(r, 2))
        set_register(b, RDX_, rng_below(r, 16));
    else
        set_register_signed(b, RDX_, -(int32_t)rng_below(r, 3));
}

static void prepare(struct builder *b, const struct encoding *e, struct chosen *c)
{
    struct rng *r = b->r;
    static const uint32_t popf_bits = 0xcd5 | 1u << 21;
    switch (e->setup) {
    case SETUP_BT:
        set_register_signed(b, c->reg, (int32_t)rng_below(r, 0x4000) - 0x2000);
        break;
    case SETUP_STRING:
        prepare_string(b, c);
        break;
    case SETUP_XLAT:
        set_register(b, RBX_, random_pointer(r, 1));
        break;
    case SETUP_POPF: {
        struct seq_insn *i = new_insn(b);
        put(i, 0x68, 1);
        put(i, (rng_next(r) & popf_bits) | 0x202, 4);
        break;
    }
    case SETUP_TARGET:
        set_register_to_code(b, c->rm_reg, 1 + rng_below(r, 3));
        break;
    case SETUP_RET: {
        unsigned reg = pick_register(b, 'g');
        set_register_to_code(b, reg, 2 + rng_below(r, 3));
        struct seq_insn *i = new_insn(b);
        if (reg >= 8)
            put(i, 0x41, 1);
        put(i, 0x50 + (reg & 7), 1);
        break;
    }
    case SETUP_ENTER:
    case SETUP_LEAVE:
        set_register(b, RBP_, random_pointer(r, 8));
        break;
    case SETUP_RCX:
        set_register(b, RCX_, rng_below(r, 4));
        break;
    case SETUP_DIV:
        prepare_div(b, e);
        break;
    default:
        break;
    }
}

/* --- encoding --- */

static void put_modrm(struct seq_insn *i, const struct operand *o, unsigned reg)
{
    put(i, (uint64_t)o->mod << 6 | (reg & 7) << 3 | o->rm, 1);
    if (!o->mem)
        return;
    if (o->has_sib)
        put(i, o->sib, 1);
    if (o->rip) {
        i->fix = FIX_ADDRESS;
        i->fix_at = i->len;
        i->address = o->disp;
    }
    put(i, o->disp, o->disp_bytes);
}

static void put_vex(struct builder *b, struct seq_insn *i, const struct encoding *e,
                    const struct chosen *c)
{
    unsigned l = e->vex_l == ANY ? rng_below(b->r, 2) : e->vex_l;
    unsigned w = e->vex_w == ANY ? rng_below(b->r, 2) : e->vex_w;
    unsigned v = e->v == 'n' ? 0 : c->v;
    bool rex_r = c->reg >= 8 && e->ext == ANY;
    if (e->map == 1 && !w && !c->rm.rex_x && !c->rm.rex_b && rng_one_in(b->r, 2)) {
        put(i, 0xc5, 1);
        put(i, (rex_r ? 0 : 0x80u) | (~v & 15u) << 3 | l << 2 | e->vex_pp, 1);
        return;
    }
    put(i, 0xc4, 1);
    put(i, (rex_r ? 0 : 0x80u) | (c->rm.rex_x ? 0 : 0x40u) | (c->rm.rex_b ? 0 : 0x20u) | e->map, 1);
    put(i, w << 7 | (~v & 15u) << 3 | l << 2 | e->vex_pp, 1);
}

static void put_legacy(struct builder *b, struct seq_insn *i, const struct encoding *e,
                       const struct chosen *c)
{
    static const uint8_t prefix_bytes[] = {0, 0x66, 0xf3, 0xf2};
    if (c->size == 2 && e->prefix != 1)
        put(i, 0x66, 1);
    if (e->prefix)
        put(i, prefix_bytes[e->prefix], 1);
    unsigned rex = (c->size == 8 && e->size != SIZE_D64 ? 8u : 0) |
                   (c->reg >= 8 && e->ext == ANY && e->modrm ? 4u : 0) | (c->rm.rex_x ? 2u : 0) |
                   (c->rm.rex_b ? 1u : 0);
    bool needless = (e->byte || e->rm == 'b') ? rng_one_in(b->r, 2) : rng_one_in(b->r, 20);
    if (rex || (needless && !c->no_rex && !gen_mode32))
        put(i, 0x40 | rex, 1);
    if (e->map)
        put(i, 0x0f, 1);
    if (e->map >= 2)
        put(i, e->map == 2 ? 0x38 : 0x3a, 1);
}

static void put_immediate(struct builder *b, struct seq_insn *i, const struct encoding *e,
                          const struct chosen *c)
{
    static const uint64_t special[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fffffff, 0x80000000, ~0ull};
    struct rng *r = b->r;
    uint64_t v = rng_one_in(r, 4) ? special[rng_below(r, 8)] : rng_next(r);
    unsigned word = c->size == 2 ? 2 : 4;
    if (e->setup == SETUP_ENTER) {
        put(i, rng_below(r, 256), 2);
        put(i, rng_one_in(r, 2) ? 0 : rng_below(r, 64), 1);
        return;
    }
    if (e->setup == SETUP_RET)
        v = rng_below(r, 256);
    if (e->imm_limit)
        v = rng_below(r, e->imm_limit);
    switch (e->imm) {
    case IMM_8:
        put(i, v, 1);
        break;
    case IMM_16:
        put(i, v, 2);
        break;
    case IMM_32:
        put(i, v, 4);
        break;
    case IMM_V:
        put(i, v, word);
        break;
    case IMM_Q:
        put(i, v, c->size);
        break;
    case IMM_MOFFS:
        put(i, random_pointer(r, 1), gen_mode32 ? 4 : 8);
        break;
    default:
        break;
    }
}

static void encode(struct builder *b, const struct encoding *e, const struct chosen *c)
{
    struct seq_insn *i = new_insn(b);
    for (unsigned n = 0; n < c->rm.n_prefixes; n++)
        put(i, c->rm.prefixes[n], 1);
    if (c->gs)
        put(i, 0x65, 1);
    if (e->setup == SETUP_STRING && !c->gs && !gen_mode32 && rng_one_in(b->r, 8))
        put(i, 0x67, 1);
    if (e->lock && c->rm.mem && rng_one_in(b->r, 4))
        put(i, 0xf0, 1);
    if (e->rep && !rng_one_in(b->r, 3))
        put(i, rng_one_in(b->r, 2) ? 0xf3 : 0xf2, 1);
    if (e->vex)
        put_vex(b, i, e, c);
    else
        put_legacy(b, i, e, c);
    put(i, e->opcode + (e->plus_r ? c->rm_reg & 7 : 0), 1);
    for (unsigned n = 0; n < e->n_literal; n++) {
        bool last = n + 1 == e->n_literal;
        put(i, e->literal[n] + (last && e->literal_plus ? rng_below(b->r, 8) : 0), 1);
    }
    if (e->modrm)
        put_modrm(i, &c->rm, e->ext == ANY ? c->reg : e->ext);
    put_immediate(b, i, e, c);
    if (e->branch) {
        i->fix = e->branch == 1 ? FIX_BRANCH8 : FIX_BRANCH32;
        i->fix_at = i->len;
        i->skip = (uint8_t)rng_below(b->r, 4);
        put(i, 0, e->branch);
    }
}

static void use_high_bytes(struct builder *b, const struct encoding *e, struct chosen *c, bool mem)
{
    c->no_rex = true;
    if (e->byte)
        c->reg = rng_below(b->r, 8);
    else if (c->reg >= 8)
        c->reg &= 3;
    if (!mem && !e->plus_r)
        c->rm.rm = (uint8_t)rng_below(b->r, 8);
    if (!mem && c->size == 8) /* REX.W: no AH..BH */
        c->rm.rm &= 3;
}

static void gen_insn(struct builder *b, const struct encoding *e)
{
    struct chosen c = {0};
    c.size = pick_size(b->r, e);
    c.reg = pick_register(b, e->reg);
    c.v = pick_register(b, e->v);
    c.rm_reg = pick_register(b, e->rm);
    bool mem = e->modrm && e->form != 'r' && (e->form == 'm' || rng_one_in(b->r, 2));
    if (mem) {
        pick_memory(b, &c.rm, e->align, e->setup == SETUP_VSIB);
    } else {
        c.rm.mod = 3;
        c.rm.rm = c.rm_reg & 7;
        c.rm.rex_b = c.rm_reg >= 8 && (e->modrm || e->plus_r);
    }
    if ((e->byte || e->rm == 'b') && !c.rm.rex_b && !c.rm.rex_x)
        use_high_bytes(b, e, &c, mem);
    prepare(b, e, &c);
    encode(b, e, &c);
}

/* --- starting state --- */

static uint64_t random_number(struct rng *r)
{
    static const uint64_t special[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
        0x7fffffffffffffff, 0x8000000000000000, ~0ull, ~1ull,
    };
    switch (rng_below(r, 4)) {
    case 0:
        return special[rng_below(r, 16)];
    case 1:
        return rng_next(r) >> rng_below(r, 64);
    default:
        return rng_next(r);
    }
}

/* Single or double precision with exponents that meet: zeros, denormals, infinities, NaNs, small
 * whole numbers among them. */
static uint64_t random_float_bits(struct rng *r)
{
    static const uint32_t f[] = {0, 0x80000000, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000,
                                 0x7fa00001, 1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x4f000000};
    static const uint64_t d[] = {0, 1ull << 63, 0x3ff0000000000000, 0x7ff0000000000000,
                                 0xfff0000000000000, 0x7ff8000000000000, 0x7ff4000000000001, 1,
                                 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
                                 0x43e0000000000000};
    float single = (float)(int32_t)(rng_below(r, 2001) - 1000) / 8;
    double twice = (double)(int32_t)(rng_next(r) >> 32) / (1 << rng_below(r, 24));
    uint64_t v;
    uint32_t half;
    switch (rng_below(r, 5)) {
    case 0:
        return d[rng_below(r, 12)];
    case 1:
        return (uint64_t)f[rng_below(r, 12)] << 32 | f[rng_below(r, 12)];
    case 2:
        memcpy(&v, &twice, 8);
        return v;
    case 3:
        memcpy(&half, &single, 4);
        return (uint64_t)half << 32 | f[rng_below(r, 12)];
    default:
        return rng_next(r);
    }
}

static void random_x87(struct rng *r, struct machine *m)
{
    m->fcw = (uint16_t)(0x7f | (rng_one_in(r, 2) ? 0x300 : rng_below(r, 4) << 8) |
                        rng_below(r, 4) << 10);
    if ((m->fcw & 0x300) == 0x100)
        m->fcw |= 0x300;
    m->fsw = (uint16_t)(rng_below(r, 8) << 11 | (rng_next(r) & 0x4700));
    m->valid = rng_one_in(r, 3) ? (uint8_t)rng_next(r) : 0xff;
    for (unsigned n = 0; n < 8; n++) {
        long double v = 0;
        uint64_t bits = random_float_bits(r);
        double d;
        memcpy(&d, &bits, 8);
        if (rng_one_in(r, 8)) { /* any pattern */
            uint64_t mantissa = rng_next(r) | 1ull << 63;
            uint16_t exponent = (uint16_t)rng_next(r);
            memcpy(m->st[n], &mantissa, 8);
            memcpy(m->st[n] + 8, &exponent, 2);
            continue;
        }
        v = rng_one_in(r, 2) ? d : (long double)(int64_t)rng_next(r);
        memcpy(m->st[n], &v, 10);
    }
}

static void random_state(struct builder *b, struct machine *m)
{
    struct rng *r = b->r;
    for (unsigned n = 0; n < 16; n++)
        m->gpr[n] = gen_mode32 ? (uint32_t)random_number(r) : random_number(r);
    for (unsigned n = 0; n < 2; n++)
        m->gpr[b->base[n]] = random_pointer(r, 64);
    int64_t index = (int64_t)rng_below(r, 128) - 64;
    m->gpr[b->index] = gen_mode32 ? (uint32_t)index : (uint64_t)index;
    m->gpr[RSP_] = random_pointer(r, 16);
    m->rip = CODE_BASE;
    m->rflags = 0x202 | (rng_next(r) & 0x8d5) | (rng_one_in(r, 6) ? 0x400 : 0);
    for (unsigned n = 0; n < 16; n++)
        for (unsigned k = 0; k < 4; k++)
            m->ymm[n][k] = rng_one_in(r, 3) ? random_number(r) : random_float_bits(r);
    m->mxcsr = 0x1f80 | rng_below(r, 4) << 13 | (rng_one_in(r, 4) ? 0x8000 : 0) |
               (rng_one_in(r, 4) ? 0x40 : 0);
    random_x87(r, m);
    m->fault = -1;
    m->error = 0;
    m->cr2 = 0;
    for (size_t n = 0; n < SANDBOX_SIZE; n += 8) {
        uint64_t v = n & 0x38 ? rng_next(r) : random_float_bits(r);
        memcpy(m->mem + n, &v, 8);
    }
}

static void pick_pointers(struct builder *b)
{
    static const uint8_t candidates[] = {RBX_, RBP_, RSI_, RDI_, 8, 9, 10, 11, 12, 13, 14, 15};
    uint32_t n_candidates = gen_mode32 ? 4 : sizeof candidates;
    uint8_t picked[3];
    for (unsigned n = 0; n < 3;) {
        picked[n] = candidates[rng_below(b->r, n_candidates)];
        bool again = (n > 0 && picked[n] == picked[0]) || (n > 1 && picked[n] == picked[1]);
        n += !again;
    }
    b->base[0] = picked[0];
    b->base[1] = picked[1];
    b->index = picked[2];
}

void gen_case(struct rng *r, unsigned length, struct sequence *seq, struct machine *start)
{
    struct builder b = {.r = r, .seq = seq};
    seq->n = 0;
    pick_pointers(&b);
    for (unsigned n = 0; n < length && seq->n < SEQ_MAX - 8; n++)
        gen_insn(&b, &gen_rows[rng_below(r, gen_n_rows)]);
    random_state(&b, start);
}

/* --- layout --- */

size_t seq_layout(const struct sequence *seq, uint8_t *out, uint16_t *offsets)
{
    size_t at = 0;
    for (unsigned n = 0; n < seq->n; n++) {
        offsets[n] = (uint16_t)at;
        memcpy(out + at, seq->insn[n].bytes, seq->insn[n].len);
        at += seq->insn[n].len;
    }
    offsets[seq->n] = (uint16_t)at;
    for (unsigned n = 0; n < seq->n; n++) {
        const struct seq_insn *i = &seq->insn[n];
        unsigned target = n + 1 + i->skip;
        if (target > seq->n)
            target = seq->n;
        uint32_t end = offsets[n + 1], disp = (uint32_t)offsets[target] - end;
        if (i->fix == FIX_PLACE)
            disp = (uint32_t)CODE_BASE + offsets[target];
        if (i->fix == FIX_ADDRESS)
            disp = i->address - ((uint32_t)CODE_BASE + end);
        if (i->fix == FIX_BRANCH8)
            memcpy(out + offsets[n] + i->fix_at, &disp, 1);
        else if (i->fix != FIX_NONE)
            memcpy(out + offsets[n] + i->fix_at, &disp, 4);
    }
    return at;
}
