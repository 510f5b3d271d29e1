// SPDX-License-Identifier: MIT
//
// One table of registers, by the names and in the features that gdb knows for x86-64; numbers
// follow from the order. Control registers, EFER and KERNEL_GS_BASE are a feature of our own, which
// gdb takes as it is. The processor is always described as what it is, also while it is in 16- or
// 32-bit mode. Selectors can be seen but not set: a selector is not its descriptor.
#include "src/gdb/regs.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

enum reg_kind {
    GPR,
    RIP,
    FLAGS,
    SELECTOR,
    X87,
    X87_STATE,
    XMM,
    MXCSR,
    YMM_HIGH,
    BASE,
    KERNEL_GS,
    CONTROL,
    EFER
};

struct reg_row {
    const char *name;
    unsigned index, count; /* count 0: one, without a number in its name */
    enum reg_kind kind;
    unsigned bytes;
    const char *type;
};

struct feature {
    const char *name, *types;
    const struct reg_row *rows;
    unsigned nrows;
};

#define REG(name, index, kind, bytes, type) {name, index, 0, kind, bytes, type}

static const struct reg_row core[] = {
    REG("rax", RAX, GPR, 8, "int64"), REG("rbx", RBX, GPR, 8, "int64"),
    REG("rcx", RCX, GPR, 8, "int64"), REG("rdx", RDX, GPR, 8, "int64"),
    REG("rsi", RSI, GPR, 8, "int64"), REG("rdi", RDI, GPR, 8, "int64"),
    REG("rbp", RBP, GPR, 8, "data_ptr"), REG("rsp", RSP, GPR, 8, "data_ptr"),
    REG("r8", R8, GPR, 8, "int64"), REG("r9", R9, GPR, 8, "int64"),
    REG("r10", R10, GPR, 8, "int64"), REG("r11", R11, GPR, 8, "int64"),
    REG("r12", R12, GPR, 8, "int64"), REG("r13", R13, GPR, 8, "int64"),
    REG("r14", R14, GPR, 8, "int64"), REG("r15", R15, GPR, 8, "int64"),
    REG("rip", 0, RIP, 8, "code_ptr"), REG("eflags", 0, FLAGS, 4, "i386_eflags"),
    REG("cs", SEG_CS, SELECTOR, 4, "int32"), REG("ss", SEG_SS, SELECTOR, 4, "int32"),
    REG("ds", SEG_DS, SELECTOR, 4, "int32"), REG("es", SEG_ES, SELECTOR, 4, "int32"),
    REG("fs", SEG_FS, SELECTOR, 4, "int32"), REG("gs", SEG_GS, SELECTOR, 4, "int32"),
    {"st", 0, 8, X87, 10, "i387_ext"},
    REG("fctrl", 0, X87_STATE, 4, "int"), REG("fstat", 1, X87_STATE, 4, "int"),
    REG("ftag", 2, X87_STATE, 4, "int"), REG("fiseg", 3, X87_STATE, 4, "int"),
    REG("fioff", 4, X87_STATE, 4, "int"), REG("foseg", 5, X87_STATE, 4, "int"),
    REG("fooff", 6, X87_STATE, 4, "int"), REG("fop", 7, X87_STATE, 4, "int"),
};
static const struct reg_row sse[] = {
    {"xmm", 0, 16, XMM, 16, "vec128"},
    REG("mxcsr", 0, MXCSR, 4, "i386_mxcsr"),
};
static const struct reg_row avx[] = {{"ymm", 0, 16, YMM_HIGH, 16, "uint128"}};
static const struct reg_row segments[] = {
    REG("fs_base", SEG_FS, BASE, 8, "int64"),
    REG("gs_base", SEG_GS, BASE, 8, "int64"),
};
static const struct reg_row control[] = {
    REG("k_gs_base", 0, KERNEL_GS, 8, "int64"), REG("cr0", 0, CONTROL, 8, "int64"),
    REG("cr2", 2, CONTROL, 8, "data_ptr"), REG("cr3", 3, CONTROL, 8, "int64"),
    REG("cr4", 4, CONTROL, 8, "int64"), REG("cr8", 8, CONTROL, 8, "int64"),
    REG("efer", 0, EFER, 8, "int64"),
};

static const char flag_types[] =
    "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/><field "
    "name=\"\" start=\"1\" end=\"1\"/><field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" "
    "start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" "
    "start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" "
    "start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" "
    "start=\"11\" end=\"11\"/><field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" "
    "start=\"16\" end=\"16\"/><field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" "
    "start=\"18\" end=\"18\"/><field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" "
    "start=\"20\" end=\"20\"/><field name=\"ID\" start=\"21\" end=\"21\"/></flags>";
static const char vector_types[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" "
    "count=\"2\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" "
    "type=\"int16\" count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector "
    "id=\"v2i64\" type=\"int64\" count=\"2\"/><union id=\"vec128\"><field name=\"v4_float\" "
    "type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" "
    "type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" "
    "type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" "
    "type=\"uint128\"/></union><flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" "
    "end=\"0\"/><field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" "
    "end=\"2\"/><field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" "
    "end=\"4\"/><field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" "
    "end=\"6\"/><field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" "
    "end=\"8\"/><field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" "
    "end=\"10\"/><field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" "
    "end=\"12\"/><field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";

static const struct feature features[] = {
    {"org.gnu.gdb.i386.core", flag_types, core, ARRAY_LEN(core)},
    {"org.gnu.gdb.i386.sse", vector_types, sse, ARRAY_LEN(sse)},
    {"org.gnu.gdb.i386.avx", "", avx, ARRAY_LEN(avx)},
    {"org.gnu.gdb.i386.segments", "", segments, ARRAY_LEN(segments)},
    {"minivmm.x86.control", "", control, ARRAY_LEN(control)},
};

static unsigned count_of(const struct reg_row *r)
{
    return r->count ? r->count : 1;
}

/* Row and index of register n. */
static const struct reg_row *find(unsigned n, unsigned *index)
{
    for (size_t f = 0; f < ARRAY_LEN(features); f++) {
        for (unsigned i = 0; i < features[f].nrows; i++) {
            const struct reg_row *r = &features[f].rows[i];
            if (n < count_of(r)) {
                *index = r->index + n;
                return r;
            }
            n -= count_of(r);
        }
    }
    return NULL;
}

unsigned regs_count(void)
{
    unsigned n = 0;
    for (size_t f = 0; f < ARRAY_LEN(features); f++) {
        for (unsigned i = 0; i < features[f].nrows; i++)
            n += count_of(&features[f].rows[i]);
    }
    return n;
}

unsigned regs_size(unsigned n)
{
    unsigned index;
    const struct reg_row *r = find(n, &index);
    return r ? r->bytes : 0;
}

static uint64_t *control_of(struct cpu_state *cpu, unsigned index)
{
    switch (index) {
    case 0:
        return &cpu->cr0;
    case 2:
        return &cpu->cr2;
    case 3:
        return &cpu->cr3;
    case 4:
        return &cpu->cr4;
    default:
        return &cpu->cr8;
    }
}

/* Where a register of 8 bytes lies; NULL: it is no such. */
static uint64_t *word_of(struct cpu_state *cpu, const struct reg_row *r, unsigned index)
{
    switch (r->kind) {
    case GPR:
        return &cpu->gpr[index];
    case RIP:
        return &cpu->rip;
    case BASE:
        return &cpu->seg[index].base;
    case KERNEL_GS:
        return &cpu->msr.kernel_gs_base;
    case CONTROL:
        return control_of(cpu, index);
    case EFER:
        return &cpu->efer;
    default:
        return NULL;
    }
}

/* --- x87, as FNSAVE has it --- */

static uint32_t tags_of(const struct cpu_x87 *x)
{
    uint32_t tags = 0;
    unsigned top = x->status >> 11 & 7;
    for (unsigned phys = 0; phys < 8; phys++) {
        unsigned st = (phys - top) & 7, exp = x->st[st].sign_exp & 0x7fffu, tag = 0;
        if (x->empty >> phys & 1)
            tag = 3;
        else if (!exp && !x->st[st].mantissa)
            tag = 1;
        else if (exp == 0x7fff || !(x->st[st].mantissa >> 63))
            tag = 2;
        tags |= tag << (2 * phys);
    }
    return tags;
}

static uint32_t x87_state(const struct cpu_x87 *x, unsigned index)
{
    const uint32_t state[] = {x->control,      x->status, tags_of(x),      x->cs,
                              (uint32_t)x->ip, x->ds,     (uint32_t)x->dp, x->opcode};
    return state[index];
}

static void set_x87_state(struct cpu_x87 *x, unsigned index, uint32_t val)
{
    switch (index) {
    case 0:
        x->control = (uint16_t)val;
        break;
    case 1:
        x->status = (uint16_t)val;
        break;
    case 2:
        x->empty = 0;
        for (unsigned n = 0; n < 8; n++)
            x->empty = (uint8_t)(x->empty | ((val >> (2 * n) & 3) == 3) << n);
        break;
    default: /* where the last instruction was: seen only */
        break;
    }
}

/* --- one register --- */

static uint32_t small_of(const struct cpu_state *cpu, const struct reg_row *r, unsigned index)
{
    switch (r->kind) {
    case FLAGS:
        return (uint32_t)cpu->rflags;
    case SELECTOR:
        return cpu->seg[index].sel;
    case MXCSR:
        return cpu->mxcsr;
    default:
        return x87_state(&cpu->x87, index);
    }
}

unsigned regs_get(const struct cpu_state *cpu, unsigned n, void *buf)
{
    unsigned index;
    const struct reg_row *r = find(n, &index);
    struct cpu_state copy;
    if (!r)
        return 0;
    if (r->kind == X87) {
        memcpy(buf, &cpu->x87.st[index].mantissa, 8);
        memcpy((uint8_t *)buf + 8, &cpu->x87.st[index].sign_exp, 2);
    } else if (r->kind == XMM || r->kind == YMM_HIGH) {
        memcpy(buf, &cpu->ymm[index][r->kind == XMM ? 0 : 2], 16);
    } else if (r->bytes == 8) {
        copy = *cpu;
        memcpy(buf, word_of(&copy, r, index), 8);
    } else {
        uint32_t small = small_of(cpu, r, index);
        memcpy(buf, &small, 4);
    }
    return r->bytes;
}

static bool put_small(struct cpu_state *cpu, const struct reg_row *r, unsigned index, uint32_t val)
{
    switch (r->kind) {
    case FLAGS:
        cpu->rflags = (val & 0x3f7fd5u) | 2;
        return true;
    case SELECTOR:
        return val == cpu->seg[index].sel;
    case MXCSR:
        cpu->mxcsr = val & 0xffff;
        return true;
    default:
        set_x87_state(&cpu->x87, index, val);
        return true;
    }
}

bool regs_put(struct cpu_state *cpu, unsigned n, const void *buf)
{
    unsigned index;
    uint32_t small;
    const struct reg_row *r = find(n, &index);
    if (!r)
        return false;
    if (r->kind == X87) {
        memcpy(&cpu->x87.st[index].mantissa, buf, 8);
        memcpy(&cpu->x87.st[index].sign_exp, (const uint8_t *)buf + 8, 2);
        return true;
    }
    if (r->kind == XMM || r->kind == YMM_HIGH) {
        memcpy(&cpu->ymm[index][r->kind == XMM ? 0 : 2], buf, 16);
        return true;
    }
    if (r->bytes == 8) {
        memcpy(word_of(cpu, r, index), buf, 8);
        return true;
    }
    memcpy(&small, buf, 4);
    return put_small(cpu, r, index, small);
}

/* --- the description --- */

static size_t describe_row(const struct reg_row *r, char *to, size_t room)
{
    size_t len = 0;
    for (unsigned n = 0; n < count_of(r); n++) {
        char name[16];
        if (r->kind == YMM_HIGH)
            snprintf(name, sizeof name, "ymm%uh", n);
        else if (r->count)
            snprintf(name, sizeof name, "%s%u", r->name, n);
        else
            snprintf(name, sizeof name, "%s", r->name);
        len += (size_t)snprintf(to + len, room - len,
                                "<reg name=\"%s\" bitsize=\"%u\" "
                                "type=\"%s\"%s/>\n",
                                name, r->bytes * 8, r->type,
                                r->kind == X87_STATE ? " group=\"float\"" : "");
    }
    return len;
}

const char *regs_description(size_t *len)
{
    static char text[12288];
    static size_t made;
    if (!made) {
        size_t n = (size_t)snprintf(
            text, sizeof text,
            "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM "
            "\"gdb-target.dtd\">\n<target>\n<architecture>i386:x86-64</architecture>\n");
        for (size_t f = 0; f < ARRAY_LEN(features); f++) {
            n += (size_t)snprintf(text + n, sizeof text - n, "<feature "
                                                             "name=\"%s\">\n%s\n", features[f].name,
                                  features[f].types);
            for (unsigned i = 0; i < features[f].nrows; i++)
                n += describe_row(&features[f].rows[i], text + n, sizeof text - n);
            n += (size_t)snprintf(text + n, sizeof text - n, "</feature>\n");
        }
        n += (size_t)snprintf(text + n, sizeof text - n, "</target>\n");
        made = n;
    }
    *len = made;
    return text;
}
