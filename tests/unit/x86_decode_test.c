// SPDX-License-Identifier: MIT
//
// The x86 decoder: against Zydis over every opcode, over random bytes and over a kernel's text; and
// by hand what Zydis cannot say: block ends, fetching by parts, the 15-byte limit. Differences that
// are meant are listed in tests/lib/x86_decode_oracle.h.
#include <check.h>
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/random.h"
#include "tests/lib/suite.h"
#include "tests/lib/x86_decode_oracle.h"

#define RANDOM_COUNT 1000000
#define SHOWN_MAX 20

static const char *const mode_names[3] = {"16-bit", "32-bit", "64-bit"};

/* --- what differs is shown --- */

struct tally {
    struct oracle oracle;
    enum x86_mode mode;
    unsigned differences;
};

static void tally_init(struct tally *t, int mode)
{
    oracle_init(&t->oracle);
    t->mode = (enum x86_mode)mode;
    t->differences = 0;
}

static void tally_check(struct tally *t, const uint8_t *bytes, unsigned *len)
{
    if (oracle_check(&t->oracle, bytes, t->mode, len))
        return;
    if (t->differences++ >= SHOWN_MAX)
        return;
    printf("%s:", mode_names[t->mode]);
    for (unsigned n = 0; n < ORACLE_LEN; n++)
        printf(" %02x", bytes[n]);
    printf("  %s\n", t->oracle.why);
}

/* --- tables --- */

static bool has_modrm(const struct optab_row *row)
{
    return row->form == F_M || row->form == F_MR;
}

static const struct optab *const maps[] = {&optab_base, &optab_0f, &optab_0f38, &optab_0f3a,
                                           &optab_x87};

START_TEST(decode_tables_ascend_and_agree_on_modrm)
{
    for (unsigned m = 0; m < OPTAB_MAPS; m++) {
        for (unsigned r = 1; r < maps[m]->count; r++) {
            const struct optab_row *row = &maps[m]->rows[r], *before = row - 1;
            ck_assert_msg(row->first <= row->last, "map %u row %u (%s)", m, r, row->name);
            if (row->first == before->first && row->last == before->last)
                ck_assert_msg(has_modrm(row) == has_modrm(before), "map %u row %u (%s)", m, r,
                              row->name);
            else
                ck_assert_msg(row->first > before->last, "map %u row %u (%s)", m, r, row->name);
        }
    }
}
END_TEST

/* Operations that several mnemonics share. */
static const struct {
    const char *name, *op;
} shared_ops[] = {
    {"les", "load_far"},
    {"lds", "load_far"},
    {"lss", "load_far"},
    {"lfs", "load_far"},
    {"lgs", "load_far"},
    {"vmmcall", "vmcall"},
    {"ud0", "ud"},
    {"ud1", "ud"},
    {"ud2", "ud"},
    {"lfence", "fence"},
    {"mfence", "fence"},
    {"sfence", "fence"},
    {"clwb", "clflush"},
    {"clflushopt", "clflush"},
    {"feni8087_nop", "fnop"},
    {"fdisi8087_nop", "fnop"},
    {"fsetpm287_nop", "fnop"},
    {"fstpnce", "fstp_sti"},
};

/* What an operation's name may add to the mnemonic: the form. */
static bool is_form(const char *suffix)
{
    static const char *const forms[] = {
        "",         "_mr",      "_rm",         "_mi",          "_m",     "_r",
        "_i",       "_rmi",     "_m1",         "_mcl",         "_dx",    "_far",
        "_far_i",   "_far_m",   "_load_moffs", "_store_moffs", "_sreg",  "_from_sreg",
        "_to_sreg", "_from_cr", "_to_cr",      "_from_dr",     "_to_dr", "_mmx",
        "_rm_mmx",  "_mr_mmx",  "_mi_mmx",     "_m16",         "_m32",   "_m64",
        "_m80",     "_sti",     "_st0_sti",    "_sti_st0",     "_ax",    "8",
        "16"};
    for (size_t n = 0; n < sizeof forms / sizeof forms[0]; n++)
        if (!strcmp(suffix, forms[n]))
            return true;
    return false;
}

static bool op_fits_name(const char *name, const char *op)
{
    for (size_t n = 0; n < sizeof shared_ops / sizeof shared_ops[0]; n++)
        if (!strcmp(name, shared_ops[n].name) && !strcmp(op, shared_ops[n].op))
            return true;
    return !strncmp(op, name, strlen(name)) && is_form(op + strlen(name));
}

/* x87 operations tell the memory operand in the name. */
static bool size_fits_op(const struct optab_row *row, const char *op)
{
    static const struct {
        const char *suffix;
        enum optab_size size;
    } sizes[] = {{"_m16", S_W}, {"_m32", S_D}, {"_m64", S_Q}, {"_m80", S_T}};
    for (size_t n = 0; n < sizeof sizes / sizeof sizes[0]; n++)
        if (oracle_has_suffix(op, sizes[n].suffix))
            return row->size == sizes[n].size;
    return true;
}

START_TEST(decode_tables_name_the_operation_of_the_mnemonic)
{
    for (unsigned m = 0; m < OPTAB_MAPS; m++)
        for (unsigned r = 0; r < maps[m]->count; r++) {
            const struct optab_row *row = &maps[m]->rows[r];
            const char *op = oracle_op_name(row->op);
            bool shared = row->accept & LEGACY && row->accept & VEX;
            ck_assert_ptr_nonnull(op);
            ck_assert_msg(op_fits_name(row->name + shared, op), "map %u row %u: %s is op_%s", m, r,
                          row->name, op);
            ck_assert_msg(size_fits_op(row, op), "map %u row %u: %s", m, r, op);
        }
}
END_TEST

/* --- against Zydis --- */

static uint64_t draw(uint64_t *state)
{
    return random_next(state) * 0x2545f4914f6cdd1dull >> 16;
}

/* Random bytes, most of them led by what makes an instruction: prefixes, REX, VEX, escapes. */
static void likely_bytes(uint64_t *state, uint8_t bytes[ORACLE_LEN])
{
    static const uint8_t prefixes[] = {0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf0,
                                       0x2e, 0x64, 0x65, 0x36, 0x26, 0x3e};
    static const uint8_t counts[16] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4};
    unsigned n = 0, kind;
    for (unsigned k = 0; k < ORACLE_LEN; k++)
        bytes[k] = (uint8_t)draw(state);
    for (unsigned k = counts[draw(state) % 16]; k > 0; k--)
        bytes[n++] = prefixes[draw(state) % sizeof prefixes];
    kind = (unsigned)draw(state) % 8;
    if (kind < 2)
        bytes[n++] = (uint8_t)(0x40 + draw(state) % 16);
    if (kind == 2) {
        bytes[n] = 0xc5;
    } else if (kind == 3) {
        bytes[n] = 0xc4;
        bytes[n + 1] = (uint8_t)((bytes[n + 1] & 0xe0) + 1 + draw(state) % 3);
    } else {
        kind = (unsigned)draw(state) % 8;
        if (kind < 4)
            bytes[n++] = 0x0f;
        if (kind == 0)
            bytes[n] = bytes[n] & 1 ? 0x38 : 0x3a;
        else if (kind == 7)
            bytes[n] = 0xd8 | (bytes[n] & 7);
    }
}

START_TEST(decode_agrees_with_zydis_on_random_bytes)
{
    struct tally t;
    uint64_t state = 88172645463325252ull + (unsigned)_i;
    uint8_t bytes[ORACLE_LEN];
    tally_init(&t, _i);
    for (unsigned n = 0; n < RANDOM_COUNT; n++) {
        likely_bytes(&state, bytes);
        tally_check(&t, bytes, NULL);
    }
    ck_assert_uint_gt(t.oracle.valid, RANDOM_COUNT / 2);
    ck_assert_uint_eq(t.differences, 0);
}
END_TEST

/* Every ModRM.reg with the addressing forms that differ, after `lead` and each opcode. */
static void check_opcodes(struct tally *t, const uint8_t *lead, unsigned n)
{
    static const uint8_t rms[] = {0x00, 0x04, 0x05, 0x06, 0x44, 0x85, 0xc0,
                                  0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    uint8_t bytes[ORACLE_LEN] = {0};
    memcpy(bytes, lead, n);
    for (unsigned k = n + 2; k < ORACLE_LEN; k++)
        bytes[k] = (uint8_t)(0x25 + 0x35 * k);
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        bytes[n] = (uint8_t)opcode;
        for (unsigned m = 0; m < 8 * sizeof rms; m++) {
            bytes[n + 1] = (uint8_t)(rms[m / 8] | (m % 8) << 3);
            tally_check(t, bytes, NULL);
        }
    }
}

static const uint8_t escapes[4][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
static const uint8_t escape_lens[4] = {0, 1, 2, 2};

START_TEST(decode_agrees_with_zydis_on_every_opcode)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2, 0xf0}, rexes[] = {0, 0x48, 0x4f};
    struct tally t;
    tally_init(&t, _i);
    for (unsigned p = 0; p < sizeof prefixes; p++)
        for (unsigned r = 0; r < (_i == X86_MODE64 ? sizeof rexes : 1); r++)
            for (unsigned e = 0; e < 4; e++) {
                uint8_t lead[4];
                unsigned n = 0;
                if (prefixes[p])
                    lead[n++] = prefixes[p];
                if (rexes[r])
                    lead[n++] = rexes[r];
                memcpy(lead + n, escapes[e], 2);
                check_opcodes(&t, lead, n + escape_lens[e]);
            }
    ck_assert_uint_eq(t.differences, 0);
}
END_TEST

START_TEST(decode_agrees_with_zydis_on_every_vex_opcode)
{
    struct tally t;
    tally_init(&t, _i);
    for (unsigned map = 0; map < 4; map++)
        for (unsigned b2 = 0; b2 < 256; b2++) { /* W vvvv L pp */
            unsigned vvvv = b2 >> 3 & 15;
            if (vvvv == 15 || vvvv == 6)
                check_opcodes(&t, (const uint8_t[]){0xc4, (uint8_t)(0xe0 | map), (uint8_t)b2}, 3);
        }
    check_opcodes(&t, (const uint8_t[]){0xc4, 0xc1, 0x79}, 3);
    check_opcodes(&t, (const uint8_t[]){0xc5, 0xf9}, 2);
    check_opcodes(&t, (const uint8_t[]){0x66, 0xc5, 0xf9}, 3);
    check_opcodes(&t, (const uint8_t[]){0xf0, 0xc5, 0xf9}, 3);
    ck_assert_uint_eq(t.differences, 0);
}
END_TEST

/* Each executable section of a 64-bit ELF file, instruction after instruction. */
static unsigned sweep_sections(struct tally *t, const uint8_t *image, size_t size)
{
    const Elf64_Ehdr *eh = (const void *)image;
    unsigned count = 0;
    ck_assert(size > sizeof *eh && !memcmp(image, ELFMAG, SELFMAG) &&
              eh->e_ident[EI_CLASS] == ELFCLASS64);
    ck_assert(eh->e_shoff < size && eh->e_shnum * sizeof(Elf64_Shdr) <= size - eh->e_shoff);
    const Elf64_Shdr *sh = (const void *)(image + eh->e_shoff);
    for (unsigned s = 0; s < eh->e_shnum; s++) {
        if (sh[s].sh_type != SHT_PROGBITS || !(sh[s].sh_flags & SHF_EXECINSTR))
            continue;
        ck_assert(sh[s].sh_offset <= size && sh[s].sh_size <= size - sh[s].sh_offset);
        unsigned len = 0;
        for (uint64_t at = 0; at + ORACLE_LEN <= sh[s].sh_size; at += len, count++)
            tally_check(t, image + sh[s].sh_offset + at, &len);
    }
    return count;
}

START_TEST(decode_agrees_with_zydis_on_a_kernel)
{
    const char *path = getenv("VMLINUX") ? getenv("VMLINUX") : "build/linux/vmlinux";
    struct tally t;
    struct stat sb;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        printf("SKIP decode_agrees_with_zydis_on_a_kernel: no %s\n", path);
        return;
    }
    ck_assert_int_eq(fstat(fd, &sb), 0);
    const uint8_t *image = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    ck_assert_ptr_ne(image, MAP_FAILED);
    tally_init(&t, X86_MODE64);
    ck_assert_uint_gt(sweep_sections(&t, image, (size_t)sb.st_size), 1000000);
    ck_assert_uint_eq(t.differences, 0);
    close(fd);
}
END_TEST

/* --- by hand --- */

/* Decodes the bytes, which must be one whole instruction. */
#define DECODE(i, mode, ...)                                                                       \
    decode_all(i, mode, (const uint8_t[]){__VA_ARGS__}, sizeof(const uint8_t[]){__VA_ARGS__})
static void decode_all(struct insn *i, enum x86_mode mode, const uint8_t *bytes, size_t len)
{
    ck_assert_uint_eq(x86_decode(i, bytes, (unsigned)len, mode), len);
}

START_TEST(decode_wants_more_bytes_until_the_instruction_is_whole)
{
    uint64_t state = 1 + (unsigned)_i;
    for (unsigned n = 0; n < 20000; n++) {
        uint8_t bytes[ORACLE_LEN];
        struct insn whole, part;
        likely_bytes(&state, bytes);
        unsigned len = x86_decode(&whole, bytes, ORACLE_LEN, (enum x86_mode)_i);
        for (unsigned avail = 1; avail <= ORACLE_LEN; avail++) {
            uint8_t *exact = malloc(avail); /* a read beyond is a fault under the sanitizer */
            ck_assert_ptr_nonnull(exact);
            memcpy(exact, bytes, avail);
            unsigned got = x86_decode(&part, exact, avail, (enum x86_mode)_i);
            ck_assert_uint_eq(got, avail < len ? 0 : len);
            ck_assert(!got || !memcmp(&whole, &part, sizeof part));
            free(exact);
        }
    }
}
END_TEST

START_TEST(decode_limits_instructions_to_15_bytes)
{
    uint8_t bytes[16];
    struct insn i;
    memset(bytes, 0x3e, sizeof bytes);
    ck_assert_uint_eq(x86_decode(&i, bytes, 15, X86_MODE64), 15);
    ck_assert(i.op == op_too_long && i.flags & INSN_ENDS_BLOCK);
    ck_assert_uint_eq(x86_decode(&i, bytes, 14, X86_MODE64), 0);
    bytes[14] = 0x90;
    ck_assert_uint_eq(x86_decode(&i, bytes, 15, X86_MODE64), 15);
    ck_assert(i.op == op_nop);
    memcpy(bytes + 10, "\xb8\x01\x02\x03\x04",
           5); /* MOV EAX, imm32: fits; with one prefix more it does not */
    ck_assert_uint_eq(x86_decode(&i, bytes, 15, X86_MODE64), 15);
    ck_assert(i.op == op_mov_mi);
    memcpy(bytes + 11, "\xb8\x01\x02\x03", 4);
    bytes[10] = 0x3e;
    ck_assert_uint_eq(x86_decode(&i, bytes, 15, X86_MODE64), 15);
    ck_assert(i.op == op_too_long);
}
END_TEST

START_TEST(decode_ends_blocks_where_control_or_meaning_changes)
{
    static const struct {
        uint8_t bytes[4];
        bool ends, cond;
    } cases[] = {
        {{0x74, 0x00}, true, true},         /* JZ */
        {{0xe2, 0x00}, true, true},         /* LOOP */
        {{0xeb, 0x00}, true, false},        /* JMP */
        {{0xff, 0xd0}, true, false},        /* CALL RAX */
        {{0xc3}, true, false},              /* RET */
        {{0xcc}, true, false},              /* INT3 */
        {{0x48, 0xcf}, true, false},        /* IRETQ */
        {{0xf4}, true, false},              /* HLT */
        {{0xfb}, true, false},              /* STI */
        {{0xfa}, false, false},             /* CLI */
        {{0x9d}, true, false},              /* POPF */
        {{0x8e, 0xd0}, true, false},        /* MOV SS, AX */
        {{0x8c, 0xd0}, false, false},       /* MOV AX, SS */
        {{0x0f, 0x22, 0xd8}, true, false},  /* MOV CR3, RAX */
        {{0x0f, 0x20, 0xd8}, false, false}, /* MOV RAX, CR3 */
        {{0x0f, 0x23, 0xf8}, true, false},  /* MOV DR7, RAX */
        {{0x0f, 0x30}, true, false},        /* WRMSR */
        {{0x0f, 0x01, 0x38}, true, false},  /* INVLPG */
        {{0x0f, 0x05}, true, false},        /* SYSCALL */
        {{0x0f, 0x0b}, true, false},        /* UD2 */
        {{0xec}, true, false},              /* IN AL, DX */
        {{0xf3, 0x6e}, true, false},        /* REP OUTSB */
        {{0xf3, 0xa4}, false, false},       /* REP MOVSB */
        {{0x0f, 0xa2}, false, false},       /* CPUID */
        {{0x01, 0xc0}, false, false},       /* ADD */
        {{0x0f, 0x44, 0xc0}, false, false}, /* CMOVZ */
    };
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        uint8_t bytes[ORACLE_LEN] = {0};
        struct insn i;
        memcpy(bytes, cases[n].bytes, 4);
        ck_assert_uint_gt(x86_decode(&i, bytes, ORACLE_LEN, X86_MODE64), 0);
        ck_assert_msg(!(i.flags & INSN_ENDS_BLOCK) == !cases[n].ends, "%s", x86_insn_name(&i));
        ck_assert_msg(!(i.flags & INSN_COND_END) == !cases[n].cond, "%s", x86_insn_name(&i));
    }
}
END_TEST

START_TEST(decode_keeps_all_bits_of_moffs_and_imm64)
{
    struct insn i;
    DECODE(&i, X86_MODE64, 0x65, 0x48, 0xa1, 1, 2, 3, 4, 5, 6, 7, 0x88);
    ck_assert(i.op == op_mov_load_moffs && (uint64_t)i.imm == 0x8807060504030201 &&
              i.seg == SEG_GS);
    ck_assert(i.base == REG_NONE && i.index == REG_NONE && !(i.flags & INSN_MEM));
    DECODE(&i, X86_MODE16, 0xa2, 0xff, 0xff);
    ck_assert(i.op == op_mov_store_moffs && i.imm == 0xffff && i.opsize == 1);
    DECODE(&i, X86_MODE64, 0x49, 0xbf, 1, 2, 3, 4, 5, 6, 7, 0x88);
    ck_assert(i.op == op_mov_mi && (uint64_t)i.imm == 0x8807060504030201 && i.rm == R15 &&
              i.opsize == 8);
}
END_TEST

START_TEST(decode_addresses_by_mode)
{
    struct insn i;
    DECODE(&i, X86_MODE64, 0x8b, 0x05, 0xfc, 0xff, 0xff, 0xff); /* [rip - 4] */
    ck_assert(i.base == REG_RIP && i.disp == -4 && i.seg == SEG_DS && i.adsize == 8);
    DECODE(&i, X86_MODE32, 0x8b, 0x05, 0xfc, 0xff, 0xff, 0xff);
    ck_assert(i.base == REG_NONE && i.index == REG_NONE && i.disp == -4 && i.adsize == 4);
    DECODE(&i, X86_MODE16, 0x8b, 0x42, 0x80); /* [bp + si - 128] */
    ck_assert(i.base == RBP && i.index == RSI && i.disp == -128 && i.seg == SEG_SS &&
              i.adsize == 2);
    DECODE(&i, X86_MODE16, 0x67, 0x8b, 0x04, 0x24); /* [esp] */
    ck_assert(i.base == RSP && i.index == REG_NONE && i.seg == SEG_SS && i.adsize == 4 &&
              i.opsize == 2);
    DECODE(&i, X86_MODE64, 0x41, 0x8b, 0x04, 0x24); /* [r12]: not the stack segment */
    ck_assert(i.base == R12 && i.seg == SEG_DS);
    DECODE(&i, X86_MODE64, 0x64, 0x2e, 0x8b, 0x00); /* CS does not undo FS */
    ck_assert(i.seg == SEG_FS && i.flags & INSN_SEGPREFIX);
    DECODE(&i, X86_MODE32, 0x64, 0x2e, 0x8b, 0x00);
    ck_assert(i.seg == SEG_CS);
    DECODE(&i, X86_MODE64, 0x3e, 0x8b, 0x45, 0x00); /* DS is ignored: [rbp] */
    ck_assert(i.seg == SEG_SS && !(i.flags & INSN_SEGPREFIX));
}
END_TEST

START_TEST(decode_settles_operand_sizes)
{
    struct insn i;
    DECODE(&i, X86_MODE64, 0x50);
    ck_assert(i.op == op_push_r && i.opsize == 8 && i.reg == RAX);
    DECODE(&i, X86_MODE64, 0x66, 0x41, 0x50);
    ck_assert(i.opsize == 2 && i.reg == R8 && i.rm == R8);
    DECODE(&i, X86_MODE64, 0x66, 0xe8, 1, 2, 3, 4); /* 66 does not shorten near branches */
    ck_assert(i.op == op_call_i && i.opsize == 8 && i.imm == 0x04030201);
    DECODE(&i, X86_MODE32, 0x66, 0xe8, 1, 0x82);
    ck_assert(i.opsize == 2 && i.imm == (int16_t)0x8201);
    DECODE(&i, X86_MODE64, 0x66, 0x48, 0x05, 1, 2, 3, 0x84); /* REX.W wins over 66 */
    ck_assert(i.op == op_add_mi && i.opsize == 8 && i.imm == (int32_t)0x84030201);
    DECODE(&i, X86_MODE64, 0x48, 0x66, 0x01, 0xc0); /* a REX before another prefix is none */
    ck_assert(i.opsize == 2 && !(i.flags & INSN_REX));
    DECODE(&i, X86_MODE16, 0x66, 0x9a, 1, 2, 3, 4, 5, 6);
    ck_assert(i.op == op_call_far_i && i.imm == 0x04030201 && i.imm2 == 0x0605);
    DECODE(&i, X86_MODE32, 0xc8, 0x01, 0x80, 0xff);
    ck_assert(i.op == op_enter && i.imm == 0x8001 && i.imm2 == 0xff);
}
END_TEST

START_TEST(decode_tells_les_from_vex)
{
    struct insn i;
    DECODE(&i, X86_MODE32, 0xc4, 0x03);
    ck_assert(i.op == op_load_far && i.imm2 == SEG_ES && i.reg == RAX && i.base == RBX);
    DECODE(&i, X86_MODE32, 0xc5, 0xf8, 0x77);
    ck_assert(i.op == op_vzeroupper && i.flags & INSN_VEX);
    DECODE(&i, X86_MODE64, 0xc5, 0x03, 0x58, 0xc1); /* VADDSD XMM8, XMM15, XMM1 */
    ck_assert(i.op == op_addsd && i.reg == 8 && i.vvvv == 15 && i.rm == 1);
    ck_assert_str_eq(x86_insn_name(&i), "vaddsd");
    ck_assert_uint_eq(
        x86_decode(&i, (const uint8_t[]){0x66, 0xc5, 0x03, 0x58, 0xc1}, 5, X86_MODE64), 3);
    ck_assert(i.op == op_ud);
    DECODE(&i, X86_MODE64, 0xf2, 0x0f, 0x58, 0xc1);
    ck_assert_str_eq(x86_insn_name(&i), "addsd");
}
END_TEST

START_TEST(decode_allows_lock_on_memory_destinations_only)
{
    struct insn i;
    DECODE(&i, X86_MODE64, 0xf0, 0x01, 0x00);
    ck_assert(i.op == op_add_mr && i.flags & INSN_LOCK);
    DECODE(&i, X86_MODE64, 0xf0, 0x01, 0xc0);
    ck_assert(i.op == op_ud);
    DECODE(&i, X86_MODE64, 0xf0, 0x03, 0x00);
    ck_assert(i.op == op_ud);
    DECODE(&i, X86_MODE64, 0xf0, 0x39, 0x00);
    ck_assert(i.op == op_ud);
    DECODE(&i, X86_MODE64, 0xf0, 0x90);
    ck_assert(i.op == op_ud);
}
END_TEST

START_TEST(decode_gathers_with_vector_index)
{
    struct insn i;
    DECODE(&i, X86_MODE64, 0xc4, 0xe2, 0x69, 0x92, 0x04,
           0xa0); /* VGATHERDPS XMM0, [RAX + XMM4 * 4], XMM2 */
    ck_assert(i.op == op_vgatherdps && i.flags & INSN_VSIB && i.index == 4 && i.scale == 2 &&
              i.vvvv == 2);
    DECODE(&i, X86_MODE64, 0xc4, 0xe2, 0x69, 0x92, 0x14, 0xa0); /* destination is the mask */
    ck_assert(i.op == op_ud);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("x86_decode");
    TCase *hand = tcase_create("by hand"), *zydis = tcase_create("zydis");
    tcase_set_timeout(hand, 60);
    tcase_set_timeout(zydis, 300);
    tcase_add_test(hand, decode_tables_ascend_and_agree_on_modrm);
    tcase_add_test(hand, decode_tables_name_the_operation_of_the_mnemonic);
    tcase_add_loop_test(hand, decode_wants_more_bytes_until_the_instruction_is_whole, 0, 3);
    tcase_add_test(hand, decode_limits_instructions_to_15_bytes);
    tcase_add_test(hand, decode_ends_blocks_where_control_or_meaning_changes);
    tcase_add_test(hand, decode_keeps_all_bits_of_moffs_and_imm64);
    tcase_add_test(hand, decode_addresses_by_mode);
    tcase_add_test(hand, decode_settles_operand_sizes);
    tcase_add_test(hand, decode_tells_les_from_vex);
    tcase_add_test(hand, decode_allows_lock_on_memory_destinations_only);
    tcase_add_test(hand, decode_gathers_with_vector_index);
    tcase_add_loop_test(zydis, decode_agrees_with_zydis_on_random_bytes, 0, 3);
    tcase_add_loop_test(zydis, decode_agrees_with_zydis_on_every_opcode, 0, 3);
    tcase_add_loop_test(zydis, decode_agrees_with_zydis_on_every_vex_opcode, 0, 3);
    tcase_add_test(zydis, decode_agrees_with_zydis_on_a_kernel);
    suite_add_tcase(s, hand);
    suite_add_tcase(s, zydis);
    return suite_run(s);
}
