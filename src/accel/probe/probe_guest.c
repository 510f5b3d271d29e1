// SPDX-License-Identifier: MIT
//
// The programs that the probe runs, and the world they need: 64-bit mode, rings 0 and 3, page
// tables, GDT, IDT, TSS. Numbers in the assembly are the places of probe_guest.h. All of it is
// written to guest RAM before each program, so that none sees what another left.
//
// A program starts in ring 0 and ends with a write to port 0x80. An exception or INT is put down in
// the list of traps, then goes on in ring 0 at the address in R15 with a fresh stack.
#include "src/accel/probe/probe_guest.h"
#include "util.h"

#include <string.h>

/* --- the programs --- */

#define AT(label) "$(" #label " - probe_code + 0x20000)"
#define SAW(n) "0x30000 + 8*" #n
#define LABEL(name) ".hidden " #name "\n.globl " #name "\n" #name ":\n"
/* Ring 3 at `label` with these flags; a trap comes back to `after`. */
#define USER(label, flags, after)                                                                  \
    "mov " AT(after) ", %r15\n"                                                                    \
    "mov " AT(label) ", %rdi\n"                                                                    \
    "mov $" #flags ", %rsi\n"                                                                      \
    "jmp enter_user\n"
#define SAVE_FLAGS(n) "pushfq\npop %rax\nmov %rax, " SAW(n) "\n"
#define SET_FLAGS(flags) "pushq $" #flags "\npopfq\n"
#define SAVE_SELECTOR(insn, n) "xor %eax, %eax\n" insn "\nmov %rax, " SAW(n) "\n"
#define WRMSR(index, high, low)                                                                    \
    "mov $" #index ", %ecx\nmov $" #high ", %edx\nmov " low ", %eax\nwrmsr\n"

asm(".pushsection .rodata.probe, \"a\"\n"
    ".balign 16\n" LABEL(probe_code)

    LABEL(probe_runs)
    "    movq $0x600d, " SAW(0) "\n"
    "done:\n"
    "    out %al, $0x80\n"
    "    jmp .\n"

    LABEL(probe_speed)
    "1:  mov " SAW(0) ", %rax\n"
    "    add %rcx, %rax\n"
    "    mov %rax, " SAW(0) "\n"
    "    dec %rcx\n"
    "    jnz 1b\n"
    "    jmp done\n"

    "enter_user:\n"
    "    pushq $0x23\n"
    "    pushq $0x50000\n"
    "    push %rsi\n"
    "    pushq $0x2b\n"
    "    push %rdi\n"
    "    iretq\n"

    /* On the stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. */
    LABEL(probe_trap_entry)
    "    mov " SAW(16) ", %rbx\n"
    "    incq " SAW(16) "\n"
    "    and $7, %ebx\n"
    "    imul $48, %rbx, %rbx\n"
    "    pop %rax\n"
    "    mov %rax, " SAW(17) "(%rbx)\n"
    "    pop %rax\n"
    "    mov %rax, " SAW(18) "(%rbx)\n"
    "    pop %rax\n"
    "    mov %rax, " SAW(19) "(%rbx)\n"
    "    pop %rax\n"
    "    mov %rax, " SAW(20) "(%rbx)\n"
    "    pop %rax\n"
    "    mov %rax, " SAW(21) "(%rbx)\n"
    "    mov %cr2, %rax\n"
    "    mov %rax, " SAW(22) "(%rbx)\n"
    "    mov $0x40000, %rsp\n"
    "    jmp *%r15\n"

    LABEL(probe_syscall)
    WRMSR(0xc0000081, 0x00180008, "$0")
    WRMSR(0xc0000082, 0, AT(syscall_entry))
    WRMSR(0xc0000084, 0, "$0x200")
    "    mov $1, %ebx\n"
    USER(syscall_user, 0x202, done)
    "syscall_user:\n"
    "    syscall\n"
    LABEL(probe_syscall_return)
    SAVE_FLAGS(5)
    SAVE_SELECTOR("mov %cs, %eax", 6)
    SAVE_SELECTOR("mov %ss, %eax", 7)
    "    mov $2, %ebx\n"
    "    syscall\n"
    "    ud2\n"
    "syscall_entry:\n"
    "    cmp $2, %ebx\n"
    "    je done\n"
    "    mov %rcx, " SAW(0) "\n"
    "    mov %r11, " SAW(1) "\n"
    SAVE_SELECTOR("mov %cs, %eax", 2)
    SAVE_SELECTOR("mov %ss, %eax", 3)
    SAVE_FLAGS(4)
    "    sysretq\n"

    LABEL(probe_flags)
    "    cli\n"
    SAVE_FLAGS(0)
    "    sti\n"
    SAVE_FLAGS(1)
    "    cli\n"
    USER(flags_on, 0x202, flags_next)
    "flags_on:\n"
    SAVE_FLAGS(2)
    SET_FLAGS(0x2)
    SAVE_FLAGS(3)
    "    ud2\n"
    "flags_next:\n"
    USER(flags_off, 0x2, done)
    "flags_off:\n"
    SAVE_FLAGS(4)
    SET_FLAGS(0x202)
    SAVE_FLAGS(5)
    "    ud2\n"

    LABEL(probe_segments)
    SAVE_SELECTOR("mov %cs, %eax", 0)
    SAVE_SELECTOR("mov %ss, %eax", 1)
    SAVE_SELECTOR("str %ax", 2)
    "    sgdt " SAW(14) "\n"
    "    mov 2 + " SAW(14) ", %rax\n"
    "    mov %rax, " SAW(3) "\n"
    USER(segments_user, 0x202, done)
    "segments_user:\n"
    SAVE_SELECTOR("mov %cs, %eax", 4)
    SAVE_SELECTOR("mov %ss, %eax", 5)
    SAVE_SELECTOR("str %ax", 6)
    SAVE_SELECTOR("sldt %ax", 7)
    "    sgdt " SAW(14) "\n"
    "    mov 2 + " SAW(14) ", %rax\n"
    "    mov %rax, " SAW(8) "\n"
    "    ud2\n"

    LABEL(probe_exceptions)
    "    mov $0x600000, %edx\n"
    "    mov " AT(exceptions_1) ", %r15\n"
    LABEL(probe_ud_ring0)
    "    ud2\n"
    "exceptions_1:\n"
    "    mov " AT(exceptions_2) ", %r15\n"
    LABEL(probe_pf_ring0)
    "    mov %rax, (%rdx)\n"
    "exceptions_2:\n"
    USER(probe_ud_ring3, 0x202, exceptions_3)
    LABEL(probe_ud_ring3)
    "    ud2\n"
    "exceptions_3:\n"
    USER(probe_pf_ring3, 0x202, exceptions_4)
    LABEL(probe_pf_ring3)
    "    mov (%rdx), %rax\n"
    "exceptions_4:\n"
    USER(exceptions_int, 0x202, done)
    "exceptions_int:\n"
    "    int $0x40\n"
    LABEL(probe_after_int)
    LABEL(probe_code_end)
    ".popsection\n");

/* --- their world --- */

#define CODE64 0x00209a0000000000ull
#define CODE32 0x00cf9a000000ffffull
#define DATA 0x00cf92000000ffffull
#define RING3 (3ull << 45)
#define TSS_LIMIT 0x67
#define PAGE_PRESENT_WRITE_USER 7ull
#define PAGE_LARGE 0x80ull

static const struct {
    gpa_t at;
    uint64_t val;
} words[] = {
    {PROBE_PML4, PROBE_PDPT | PAGE_PRESENT_WRITE_USER},
    {PROBE_PDPT, PROBE_PD | PAGE_PRESENT_WRITE_USER},
    {PROBE_PD, PAGE_LARGE | PAGE_PRESENT_WRITE_USER},
    {PROBE_GDT + 0x08, CODE64},
    {PROBE_GDT + 0x10, DATA},
    {PROBE_GDT + 0x18, CODE32 | RING3},
    {PROBE_GDT + 0x20, DATA | RING3},
    {PROBE_GDT + 0x28, CODE64 | RING3},
    {PROBE_GDT + PROBE_SEL_TSS, 0x00008b0000000000ull | (uint64_t)PROBE_TSS << 16 | TSS_LIMIT},
    {PROBE_TSS + 4, PROBE_STACK}, /* RSP0 */
};

static bool has_error_code(unsigned vector)
{
    return vector < 32 && (0x60227d00u >> vector & 1);
}

/* push $0 where the CPU pushes no error code; push $vector; jmp probe_trap_entry. */
static void make_stub(uint8_t stub[16], unsigned vector)
{
    unsigned n = 0;
    if (!has_error_code(vector)) {
        stub[n++] = 0x6a;
        stub[n++] = 0;
    }
    stub[n++] = 0x6a;
    stub[n++] = (uint8_t)vector;
    stub[n++] = 0xe9;
    uint32_t to = (uint32_t)(probe_address(probe_trap_entry) - (PROBE_STUBS + 16 * vector + n + 4));
    memcpy(stub + n, &to, sizeof to);
}

static int put_vector(struct gmem *gm, unsigned vector)
{
    uint8_t stub[16] = {0};
    make_stub(stub, vector);
    uint64_t at = PROBE_STUBS + 16 * vector;
    uint64_t type = vector == PROBE_INT_VECTOR ? 0xee : 0x8e; /* interrupt gate of DPL 3 or 0 */
    uint64_t gate[2] = {(at & 0xffff) | PROBE_SEL_CODE << 16 | type << 40 | at >> 16 << 48, 0};
    int rc = gmem_write(gm, at, stub, sizeof stub);
    return rc ? rc : gmem_write(gm, PROBE_IDT + 16 * vector, gate, sizeof gate);
}

int probe_guest_load(struct gmem *gm, struct err *err)
{
    int rc = gmem_fill(gm, 0, 0, PROBE_USER_STACK);
    for (unsigned i = 0; i < ARRAY_LEN(words) && !rc; i++)
        rc = gmem_write(gm, words[i].at, &words[i].val, sizeof words[i].val);
    for (unsigned v = 0; v <= PROBE_INT_VECTOR && !rc; v++)
        rc = put_vector(gm, v);
    if (!rc)
        rc = gmem_write(gm, PROBE_CODE, probe_code, probe_address(probe_code_end) - PROBE_CODE);
    return rc ? err_set_errno(err, -rc, "probe: fill guest memory") : 0;
}

void probe_guest_state(struct cpu_state *cpu, const uint8_t *entry, uint64_t rcx)
{
    const struct cpu_seg code = {.sel = PROBE_SEL_CODE, .limit = 0xffffffff, .type = 0xb, .s = true,
                                 .present = true, .l = true, .g = true};
    const struct cpu_seg stack = {.sel = PROBE_SEL_STACK, .limit = 0xffffffff, .type = 3, .s = true,
                                  .present = true, .db = true, .g = true};
    cpu_state_reset(cpu, true);
    cpu->gpr[RCX] = rcx;
    cpu->gpr[RSP] = PROBE_STACK;
    cpu->gpr[R15] = probe_address(probe_runs);
    cpu->rip = probe_address(entry);
    for (unsigned i = 0; i < SEGS; i++)
        cpu->seg[i] = stack;
    cpu->seg[SEG_CS] = code;
    cpu->seg[SEG_LDTR] = (struct cpu_seg){.type = 2, .present = true};
    cpu->seg[SEG_TR] = (struct cpu_seg){.sel = PROBE_SEL_TSS, .base = PROBE_TSS, .limit = TSS_LIMIT,
                                        .type = 0xb, .present = true};
    cpu->gdt = (struct cpu_table){PROBE_GDT, PROBE_SEL_TSS + 15};
    cpu->idt = (struct cpu_table){PROBE_IDT, 16 * (PROBE_INT_VECTOR + 1) - 1};
    cpu->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
    cpu->cr3 = PROBE_PML4;
    cpu->cr4 = 0x620;  /* PAE, OSFXSR, OSXMMEXCPT */
    cpu->efer = 0x501; /* LMA LME SCE */
}
