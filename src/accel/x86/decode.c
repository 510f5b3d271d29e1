// SPDX-License-Identifier: MIT
//
// The instruction decoder: prefixes, opcode map, row of the opcode table (optab.h), ModRM,
// displacement, immediate, in the order of the bytes. Where CPUs differ it does as Intel's: 66 does
// not shorten near branches in 64-bit mode, of F2 and F3 the last one counts. VEX is decoded in
// real and v8086 mode too, which the bytes cannot tell: its operations check. EVEX, XOP and 3DNow!
// are undefined. Encoding: SDM vol. 2 chapter 2 and appendix A.
#include <threads.h>

#include "optab.h"

#define LEN_MAX 15

enum status { OK, MORE /* bytes than there are */, TOO_LONG, UNDEFINED };

struct decoder {
    struct insn *i;
    const uint8_t *bytes;
    unsigned pos, avail;
    enum x86_mode mode;
    bool opsize_prefix, adsize_prefix;
    uint8_t rex; /* 40-4F, or what VEX says in those terms */
    uint8_t pp;  /* mandatory prefix: 0 none, 1 66, 2 F3, 3 F2 */
    uint8_t seg; /* override or SEGS */
    enum optab_map map;
    const struct optab_row *row;
};

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };
enum { NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2 };

/* --- bytes --- */

static enum status fetch_byte(struct decoder *d, uint8_t *byte)
{
    if (d->pos >= LEN_MAX)
        return TOO_LONG;
    if (d->pos >= d->avail)
        return MORE;
    *byte = d->bytes[d->pos++];
    return OK;
}

/* Little-endian, zero-extended. size 1 to 8. */
static enum status fetch(struct decoder *d, unsigned size, uint64_t *val)
{
    if (d->pos + size > d->avail)
        return d->avail >= LEN_MAX ? TOO_LONG : MORE;
    *val = 0;
    for (unsigned n = 0; n < size; n++)
        *val |= (uint64_t)d->bytes[d->pos + n] << 8 * n;
    d->pos += size;
    return OK;
}

static int64_t sign_extend(uint64_t val, unsigned size)
{
    unsigned shift = 64 - 8 * size;
    return (int64_t)(val << shift) >> shift;
}

static enum status fetch_signed(struct decoder *d, unsigned size, int64_t *val)
{
    uint64_t raw = 0;
    enum status st = fetch(d, size, &raw);
    *val = sign_extend(raw, size);
    return st;
}

/* --- prefixes --- */

/* ES, CS, SS, DS mean nothing in 64-bit mode, not even that an earlier FS or GS is forgotten. */
static void override_segment(struct decoder *d, uint8_t seg)
{
    if (d->mode == X86_MODE64 && seg < SEG_FS)
        return;
    d->seg = seg;
    d->i->flags |= INSN_SEGPREFIX;
}

static bool legacy_prefix(struct decoder *d, uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        override_segment(d, byte >> 3 & 3);
        return true;
    case 0x64:
    case 0x65:
        override_segment(d, byte == 0x64 ? SEG_FS : SEG_GS);
        return true;
    case 0x66:
        d->opsize_prefix = true;
        d->i->flags |= INSN_OPSIZE;
        return true;
    case 0x67:
        d->adsize_prefix = true;
        return true;
    case 0xf0:
        d->i->flags |= INSN_LOCK;
        return true;
    case 0xf2:
        d->i->flags = (uint16_t)((d->i->flags & ~INSN_REP) | INSN_REPNE);
        return true;
    case 0xf3:
        d->i->flags = (uint16_t)((d->i->flags & ~INSN_REPNE) | INSN_REP);
        return true;
    default:
        return false;
    }
}

/* Leaves the first byte that is no prefix in *byte. A REX counts only right before the opcode. */
static enum status decode_prefixes(struct decoder *d, uint8_t *byte)
{
    enum status st;
    while (!(st = fetch_byte(d, byte))) {
        if (legacy_prefix(d, *byte))
            d->rex = 0;
        else if (d->mode == X86_MODE64 && (*byte & 0xf0) == 0x40)
            d->rex = *byte;
        else
            break;
    }
    d->pp = d->i->flags & INSN_REPNE ? PREFIX_F2
            : d->i->flags & INSN_REP ? PREFIX_F3
            : d->opsize_prefix       ? PREFIX_66
                                     : NO_PREFIX;
    return st;
}

/* --- opcode --- */

/* b1 is the byte after C4 (three) or C5. */
static enum status decode_vex(struct decoder *d, bool three, unsigned b1)
{
    static const uint8_t prefixes[4] = {NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2};
    uint8_t b2 = 0;
    enum status st;
    if (three && (st = fetch_byte(d, &b2)))
        return st;
    if (!three) { /* R vvvv L pp: as the third byte, with X, B, W = 0 and map 0F */
        b2 = (uint8_t)(b1 & 0x7f);
        b1 = (b1 & 0x80) | 0x61;
    }
    unsigned map = b1 & 0x1f;
    if (d->pp || d->rex || d->i->flags & INSN_LOCK || map < 1 || map > 3)
        return UNDEFINED;
    d->map = (enum optab_map)map;
    d->pp = prefixes[b2 & 3];
    d->rex = (uint8_t)((b2 >> 7 ? REX_W : 0) | (~b1 >> 5 & 7));
    d->i->vvvv = ~b2 >> 3 & 15;
    d->i->flags |= INSN_VEX | (b2 & 4 ? INSN_VEX_L : 0);
    if (d->mode != X86_MODE64)
        d->rex &= REX_W;
    return fetch_byte(d, &d->i->opcode);
}

/* Opcode map and last opcode byte. */
static enum status decode_opcode(struct decoder *d, uint8_t byte)
{
    enum status st;
    d->i->opcode = byte;
    if (byte == 0xc4 || byte == 0xc5 || byte == 0x62) {
        /* VEX and EVEX, not LES, LDS, BOUND: in 64-bit mode, or before what would be a register
         * form. */
        uint8_t next;
        if ((st = fetch_byte(d, &next)))
            return st;
        if (d->mode == X86_MODE64 || next >= 0xc0)
            return byte == 0x62 ? UNDEFINED : decode_vex(d, byte == 0xc4, next);
        d->pos--;
    }
    if ((byte & 0xf8) == 0xd8)
        d->map = MAP_X87;
    if (byte != 0x0f)
        return OK;
    d->map = MAP_0F;
    if ((st = fetch_byte(d, &d->i->opcode)))
        return st;
    if (d->i->opcode != 0x38 && d->i->opcode != 0x3a)
        return OK;
    d->map = d->i->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
    return fetch_byte(d, &d->i->opcode);
}

/* --- the row --- */

static const struct optab *const maps[OPTAB_MAPS] = {
    [MAP_BASE] = &optab_base, [MAP_0F] = &optab_0f,   [MAP_0F38] = &optab_0f38,
    [MAP_0F3A] = &optab_0f3a, [MAP_X87] = &optab_x87,
};
#define NO_ROW 0xffff
/* First row of each opcode, counted within its map; and the id of each map's first row. Made once
 * from the tables. */
static uint16_t first_row[OPTAB_MAPS][256], first_id[OPTAB_MAPS];
static once_flag index_made = ONCE_FLAG_INIT;

static void make_index(void)
{
    unsigned id = 1; /* 0: no row */
    for (unsigned m = 0; m < OPTAB_MAPS; m++) {
        first_id[m] = (uint16_t)id;
        id += maps[m]->count;
        for (unsigned o = 0; o < 256; o++)
            first_row[m][o] = NO_ROW;
        for (unsigned r = maps[m]->count; r-- > 0;)
            for (unsigned o = maps[m]->rows[r].first; o <= maps[m]->rows[r].last; o++)
                first_row[m][o] = (uint16_t)r;
    }
}

/* What the instruction is, in the terms of optab.h. */
static uint32_t properties(const struct decoder *d, bool has_modrm, bool always_reg)
{
    unsigned modrm = d->i->modrm;
    uint32_t p = NP << d->pp;
    p |= d->i->flags & INSN_VEX ? VEX : LEGACY;
    p |= d->i->flags & INSN_VEX_L ? L1 : L0;
    p |= d->rex & REX_W ? W1 : W0;
    p |= d->rex & REX_B ? B1 : B0;
    p |= d->mode == X86_MODE64 ? M64 : M32;
    if (has_modrm)
        p |= (modrm >= 0xc0 || always_reg ? REG : MEM) | G(modrm >> 3 & 7) | RM(modrm & 7);
    return p;
}

/* Reads ModRM too: rows are chosen by it. */
static enum status find_row(struct decoder *d)
{
    const struct optab *tab = maps[d->map];
    unsigned key = d->i->opcode;
    bool has_modrm = d->map == MAP_X87;
    enum status st;

    if (has_modrm) {
        if ((st = fetch_byte(d, &d->i->modrm)))
            return st;
        key = (key & 7) * 8 + (d->i->modrm >> 3 & 7);
    }
    unsigned r = first_row[d->map][key];
    if (r == NO_ROW)
        return UNDEFINED;
    enum optab_form form =
        tab->rows[r].form; /* all rows of an opcode agree whether there is a ModRM */
    if (!has_modrm && (form == F_M || form == F_MR)) {
        has_modrm = true;
        if ((st = fetch_byte(d, &d->i->modrm)))
            return st;
    }
    uint32_t have = properties(d, has_modrm, form == F_MR);
    for (; r < tab->count && tab->rows[r].first <= key && key <= tab->rows[r].last; r++) {
        if (!(have & ~tab->rows[r].accept)) {
            d->row = &tab->rows[r];
            d->i->id = (uint16_t)(first_id[d->map] + r);
            return OK;
        }
    }
    return UNDEFINED;
}

/* --- operands --- */

static unsigned address_size(const struct decoder *d)
{
    static const uint8_t sizes[3][2] = {
        [X86_MODE16] = {2, 4}, [X86_MODE32] = {4, 2}, [X86_MODE64] = {8, 4}};
    return sizes[d->mode][d->adsize_prefix];
}

static unsigned operand_size(const struct decoder *d)
{
    bool long_mode = d->mode == X86_MODE64, wide = long_mode && d->rex & REX_W;
    unsigned by_prefix = (d->mode == X86_MODE16) != d->opsize_prefix ? 2 : 4;
    switch ((enum optab_size)d->row->size) {
    case S_B:
        return 1;
    case S_W:
        return 2;
    case S_D:
        return 4;
    case S_Q:
        return 8;
    case S_T:
        return 10;
    case S_O:
        return 16;
    case S_X:
        return d->i->flags & INSN_VEX_L ? 32 : 16;
    case S_V:
        return wide ? 8 : by_prefix;
    case S_Z:
        return wide ? 4 : by_prefix;
    case S_Y:
        return wide ? 8 : 4;
    case S_D64:
        return long_mode && (wide || by_prefix == 4) ? 8 : by_prefix;
    case S_F64:
        return long_mode ? 8 : by_prefix;
    case S_A:
        return long_mode ? 8 : 4;
    }
    return 4;
}

static enum status decode_memory16(struct decoder *d, unsigned mod, unsigned rm)
{
    static const struct {
        uint8_t base, index;
    } forms[8] = {{RBX, RSI},      {RBX, RDI},      {RBP, RSI},      {RBP, RDI},
                  {RSI, REG_NONE}, {RDI, REG_NONE}, {RBP, REG_NONE}, {RBX, REG_NONE}};
    unsigned disp_size = mod;
    int64_t disp = 0;
    enum status st = OK;
    if (d->row->attr & A_VSIB)
        return UNDEFINED;
    d->i->base = forms[rm].base;
    d->i->index = forms[rm].index;
    if (mod == 0 && rm == 6) {
        d->i->base = REG_NONE;
        disp_size = 2;
    }
    if (disp_size)
        st = fetch_signed(d, disp_size, &disp);
    d->i->disp = (int32_t)disp;
    if (d->i->base == RBP)
        d->i->seg = SEG_SS;
    return st;
}

static enum status decode_sib(struct decoder *d, unsigned mod, bool *no_base)
{
    uint8_t sib;
    enum status st = fetch_byte(d, &sib);
    if (st)
        return st;
    unsigned index = (sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0);
    unsigned base = (sib & 7) | (d->rex & REX_B ? 8 : 0);
    *no_base = mod == 0 && (sib & 7) == 5;
    d->i->base = (uint8_t)(*no_base ? REG_NONE : base);
    d->i->index = (uint8_t)(index == RSP && !(d->row->attr & A_VSIB) ? REG_NONE : index);
    d->i->scale = d->i->index == REG_NONE ? 0 : sib >> 6;
    return OK;
}

static enum status decode_memory(struct decoder *d, unsigned mod, unsigned rm)
{
    static const uint8_t disp_sizes[3] = {0, 1, 4};
    unsigned disp_size = disp_sizes[mod];
    int64_t disp = 0;
    enum status st;
    if (rm == 4) {
        bool no_base;
        if ((st = decode_sib(d, mod, &no_base)))
            return st;
        if (no_base)
            disp_size = 4;
    } else if (d->row->attr & A_VSIB) {
        return UNDEFINED;
    } else if (mod == 0 && rm == 5) {
        d->i->base = d->mode == X86_MODE64 ? REG_RIP : REG_NONE;
        disp_size = 4;
    } else {
        d->i->base = (uint8_t)(rm | (d->rex & REX_B ? 8 : 0));
    }
    if (disp_size && (st = fetch_signed(d, disp_size, &disp)))
        return st;
    d->i->disp = (int32_t)disp;
    if (d->i->base == RSP || d->i->base == RBP)
        d->i->seg = SEG_SS;
    return OK;
}

static enum status decode_modrm(struct decoder *d)
{
    struct insn *i = d->i;
    unsigned mod = i->modrm >> 6, reg = i->modrm >> 3 & 7, rm = i->modrm & 7, attr = d->row->attr;
    enum status st = OK;
    i->reg =
        (uint8_t)(reg |
                  (d->rex & REX_R && !(attr & (A_MMX_REG | A_SREG)) && d->map != MAP_X87 ? 8 : 0));
    if (mod == 3 || d->row->form == F_MR) {
        i->rm = (uint8_t)(rm | (d->rex & REX_B && !(attr & A_MMX_RM) && d->map != MAP_X87 ? 8 : 0));
    } else {
        i->flags |= INSN_MEM;
        st = i->adsize == 2 ? decode_memory16(d, mod, rm) : decode_memory(d, mod, rm);
    }
    return st;
}

static enum status decode_registers(struct decoder *d)
{
    struct insn *i = d->i;
    switch ((enum optab_form)d->row->form) {
    case F_NONE:
        return OK;
    case F_OP:
        i->rm = (uint8_t)((i->opcode & 7) | (d->rex & REX_B ? 8 : 0));
        i->reg = d->row->op == op_xchg ? RAX : i->rm;
        return OK;
    case F_SREG:
        i->reg = i->opcode >> 3 & 7;
        return OK;
    case F_M:
    case F_MR:
        return decode_modrm(d);
    }
    return OK;
}

static enum status decode_far(struct decoder *d)
{
    uint64_t off = 0, sel = 0;
    enum status st = fetch(d, d->i->opsize, &off);
    if (!st)
        st = fetch(d, 2, &sel);
    d->i->imm = (int64_t)off;
    d->i->imm2 = (uint16_t)sel;
    return st;
}

static enum status decode_enter(struct decoder *d)
{
    uint64_t size = 0, level = 0;
    enum status st = fetch(d, 2, &size);
    if (!st)
        st = fetch(d, 1, &level);
    d->i->imm = (int64_t)size;
    d->i->imm2 = (uint16_t)level;
    return st;
}

static enum status decode_immediate(struct decoder *d)
{
    struct insn *i = d->i;
    unsigned size = i->opsize;
    uint64_t val = 0;
    enum status st;
    switch ((enum optab_imm)d->row->imm) {
    case I_NO:
        return OK;
    case I_B:
        return fetch_signed(d, 1, &i->imm);
    case I_V:
        return fetch_signed(d, size, &i->imm);
    case I_Z:
    case I_J:
        return fetch_signed(d, size < 4 ? size : 4, &i->imm);
    case I_UB:
        st = fetch(d, 1, &val);
        break;
    case I_UW:
        st = fetch(d, 2, &val);
        break;
    case I_MOFFS:
        st = fetch(d, i->adsize, &val);
        break;
    case I_IS4:
        st = fetch(d, 1, &val);
        val &= d->mode == X86_MODE64 ? 0xf0 : 0x70;
        break;
    case I_FAR:
        return decode_far(d);
    case I_ENTER:
        return decode_enter(d);
    default:
        return OK;
    }
    i->imm = (int64_t)val;
    return st;
}

/* --- rules that are not in the bytes' layout --- */

/* Unused, all four bits of vvvv must be ones; used outside 64-bit mode, the highest is ignored. */
static enum status settle_vvvv(struct decoder *d)
{
    if (d->i->flags & INSN_VEX && !(d->row->attr & A_VVVV) && d->i->vvvv)
        return UNDEFINED;
    if (d->mode != X86_MODE64)
        d->i->vvvv &= 7;
    return OK;
}

#define CONTROL_REGISTERS (1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8)

static bool is_valid(const struct decoder *d)
{
    const struct insn *i = d->i;
    unsigned attr = d->row->attr;
    if (i->flags & INSN_LOCK && !(attr & A_LOCK && i->flags & INSN_MEM))
        return false;
    if (attr & A_CR && !(CONTROL_REGISTERS >> i->reg & 1))
        return false;
    if (attr & A_DR && i->reg > 7)
        return false;
    if (attr & A_VSIB && (i->reg == i->index || i->reg == i->vvvv || i->index == i->vvvv))
        return false;
    return true;
}

static void set_flags(struct decoder *d)
{
    struct insn *i = d->i;
    unsigned attr = d->row->attr, flags = i->flags;
    if (d->rex && !(flags & INSN_VEX))
        flags |= INSN_REX;
    if (d->rex & REX_W)
        flags |= INSN_REXW;
    if (d->row->size != S_X)
        flags &= ~(unsigned)INSN_VEX_L;
    if (attr & A_END)
        flags |= INSN_ENDS_BLOCK;
    if (attr & A_COND)
        flags |= INSN_COND_END;
    if (attr & A_VSIB)
        flags |= INSN_VSIB;
    i->flags = (uint16_t)flags;
}

static enum status decode(struct decoder *d)
{
    uint8_t byte = 0;
    enum status st;
    if ((st = decode_prefixes(d, &byte)) || (st = decode_opcode(d, byte)) || (st = find_row(d)))
        return st;
    d->i->opsize = (uint8_t)operand_size(d);
    d->i->adsize = (uint8_t)address_size(d);
    if ((st = decode_registers(d)) || (st = decode_immediate(d)) || (st = settle_vvvv(d)))
        return st;
    if (!is_valid(d))
        return UNDEFINED;
    if (d->seg != SEGS)
        d->i->seg = d->seg;
    if (d->row->op == op_load_far)
        d->i->imm2 = A_SEG_GET(d->row->attr);
    set_flags(d);
    d->i->op = d->row->op;
    return OK;
}

unsigned x86_decode(struct insn *out, const uint8_t *bytes, unsigned avail, enum x86_mode mode)
{
    struct decoder d = {.i = out,
                        .bytes = bytes,
                        .avail = avail < LEN_MAX ? avail : LEN_MAX,
                        .mode = mode,
                        .seg = SEGS};
    call_once(&index_made, make_index);
    *out = (struct insn){.base = REG_NONE, .index = REG_NONE, .seg = SEG_DS};
    enum status st = decode(&d);
    if (st == MORE)
        return 0;
    if (st != OK) {
        *out = (struct insn){.op = st == TOO_LONG ? op_too_long : op_ud,
                             .flags = INSN_ENDS_BLOCK,
                             .base = REG_NONE,
                             .index = REG_NONE,
                             .seg = SEG_DS,
                             .opsize = 4,
                             .adsize = (uint8_t)address_size(&d)};
    }
    out->len = (uint8_t)(st == TOO_LONG ? LEN_MAX : d.pos);
    return out->len;
}

const char *x86_insn_name(const struct insn *i)
{
    if (!i->id)
        return i->op == op_too_long ? "too long" : "undefined";
    unsigned m = OPTAB_MAPS - 1;
    while (i->id < first_id[m])
        m--;
    const struct optab_row *row = &maps[m]->rows[i->id - first_id[m]];
    bool shared = row->accept & LEGACY && row->accept & VEX;
    return row->name + (shared && !(i->flags & INSN_VEX));
}
