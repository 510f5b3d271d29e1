// SPDX-License-Identifier: MIT
//
// All registers are loaded by hand, the code is jumped to, and its end jumps back to where all
// registers are saved. A fault becomes a signal, whose handler changes nothing but where to go on:
// there, with the registers as the fault left them.
#include "host.h"

#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define HIDDEN __attribute__((visibility("hidden"), used))

struct xsave_area {
    uint16_t fcw, fsw;
    uint8_t valid, reserved0;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint64_t xmm[16][2];
    uint8_t reserved1[96];
    uint64_t xstate_bv, xcomp_bv, reserved2[6];
    uint64_t ymm_high[16][2];
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct xsave_area, ymm_high) == 576, "SDM vol. 1 section 13.4");

/* For the trampoline: RAX to R15 by encoding, then RFLAGS. */
HIDDEN uint64_t host_regs[17];
HIDDEN struct xsave_area host_fp;
HIDDEN uint64_t host_sp;
/* Far pointer: Linux's code segments for 64-bit and 32-bit user code are the same on all x86-64. */
#define CS64 0x33
#define CS32 0x23
#define DATA_SELECTOR 0x2b
HIDDEN struct {
    uint32_t rip;
    uint16_t cs;
} host_entry = {CODE_BASE, CS64};
extern void host_enter(void) __attribute__((visibility("hidden")));
extern const char host_leave[] __attribute__((visibility("hidden")));

__asm__(".text\n"
        ".type host_enter, @function\n"
        "host_enter:\n"
        "    push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n"
        "    sub $24, %rsp\n"
        "    stmxcsr 8(%rsp)\n"
        "    fnstcw 16(%rsp)\n"
        "    mov %rsp, host_sp(%rip)\n"
        "    mov $7, %eax\n"
        "    xor %edx, %edx\n"
        "    xrstor64 host_fp(%rip)\n"
        "    push host_regs+128(%rip)\n"
        "    popfq\n"
        "    mov host_regs+0(%rip), %rax\n"
        "    mov host_regs+8(%rip), %rcx\n"
        "    mov host_regs+16(%rip), %rdx\n"
        "    mov host_regs+24(%rip), %rbx\n"
        "    mov host_regs+32(%rip), %rsp\n"
        "    mov host_regs+40(%rip), %rbp\n"
        "    mov host_regs+48(%rip), %rsi\n"
        "    mov host_regs+56(%rip), %rdi\n"
        "    mov host_regs+64(%rip), %r8\n"
        "    mov host_regs+72(%rip), %r9\n"
        "    mov host_regs+80(%rip), %r10\n"
        "    mov host_regs+88(%rip), %r11\n"
        "    mov host_regs+96(%rip), %r12\n"
        "    mov host_regs+104(%rip), %r13\n"
        "    mov host_regs+112(%rip), %r14\n"
        "    mov host_regs+120(%rip), %r15\n"
        "    ljmp *host_entry(%rip)\n"
        ".globl host_leave\n"
        ".hidden host_leave\n"
        "host_leave:\n"
        "    mov %rax, host_regs+0(%rip)\n"
        "    mov %rcx, host_regs+8(%rip)\n"
        "    mov %rdx, host_regs+16(%rip)\n"
        "    mov %rbx, host_regs+24(%rip)\n"
        "    mov %rsp, host_regs+32(%rip)\n"
        "    mov %rbp, host_regs+40(%rip)\n"
        "    mov %rsi, host_regs+48(%rip)\n"
        "    mov %rdi, host_regs+56(%rip)\n"
        "    mov %r8, host_regs+64(%rip)\n"
        "    mov %r9, host_regs+72(%rip)\n"
        "    mov %r10, host_regs+80(%rip)\n"
        "    mov %r11, host_regs+88(%rip)\n"
        "    mov %r12, host_regs+96(%rip)\n"
        "    mov %r13, host_regs+104(%rip)\n"
        "    mov %r14, host_regs+112(%rip)\n"
        "    mov %r15, host_regs+120(%rip)\n"
        "    mov host_sp(%rip), %rsp\n"
        "    pushfq\n"
        "    pop host_regs+128(%rip)\n"
        "    push $0x202\n"
        "    popfq\n"
        "    mov $7, %eax\n"
        "    xor %edx, %edx\n"
        "    xsave64 host_fp(%rip)\n"
        "    fninit\n"
        "    fldcw 16(%rsp)\n"
        "    ldmxcsr 8(%rsp)\n"
        "    vzeroupper\n"
        "    add $24, %rsp\n"
        "    pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
        "    ret\n"
        ".size host_enter, . - host_enter\n");

/* --- faults --- */

static struct {
    int vector;
    uint32_t error;
    uint64_t cr2, rip;
} fault;

static struct sigaction before_us[NSIG];

static void on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *regs = uc->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)regs[REG_RIP];
    if (rip - CODE_BASE < CODE_SIZE) {
        fault.vector = (int)regs[REG_TRAPNO];
        fault.error = (uint32_t)regs[REG_ERR];
        fault.cr2 = (uint64_t)regs[REG_CR2];
        fault.rip = rip;
        regs[REG_RIP] = (greg_t)(uintptr_t)host_leave;
        regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffll) | CS64;
    } else if (before_us[sig].sa_flags & SA_SIGINFO) {
        before_us[sig].sa_sigaction(sig, info, context);
    } else {
        signal(sig, SIG_DFL);
    }
}

static bool take_signals(void)
{
    static uint8_t stack[65536];
    static const int signals[] = {SIGFPE, SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    if (sigaltstack(&alternate, NULL))
        return false;
    for (size_t n = 0; n < sizeof signals / sizeof *signals; n++)
        if (sigaction(signals[n], &sa, &before_us[signals[n]]))
            return false;
    return true;
}

/* --- a run --- */

static void *map_at(uint64_t at, uint64_t size, int prot)
{
    void *p =
        mmap((void *)at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return p == (void *)at ? p : NULL;
}

bool host_init(bool mode32)
{
    if (mode32) {
        host_entry.cs = CS32;
        __asm__ volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(DATA_SELECTOR));
    }
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2")) {
        fprintf(stderr, "the host has no AVX2\n");
        return false;
    }
    bool mapped =
        map_at(SANDBOX_BASE - SANDBOX_GUARD, SANDBOX_SIZE + 2 * SANDBOX_GUARD, PROT_NONE) &&
        !mprotect((void *)SANDBOX_BASE, SANDBOX_SIZE, PROT_READ | PROT_WRITE) &&
        map_at(CODE_BASE, CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    if (!mapped || syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE) || !take_signals()) {
        perror("cannot prepare the host's side");
        return false;
    }
    return true;
}

static void load(const struct machine *m)
{
    memcpy(host_regs, m->gpr, sizeof m->gpr);
    host_regs[16] = m->rflags;
    memset(&host_fp, 0, sizeof host_fp);
    host_fp.fcw = m->fcw;
    host_fp.fsw = m->fsw;
    host_fp.valid = m->valid;
    host_fp.mxcsr = m->mxcsr;
    host_fp.xstate_bv = 7;
    for (unsigned n = 0; n < 8; n++)
        memcpy(host_fp.st[n], m->st[n], 10);
    for (unsigned n = 0; n < 16; n++) {
        memcpy(host_fp.xmm[n], m->ymm[n], 16);
        memcpy(host_fp.ymm_high[n], m->ymm[n] + 2, 16);
    }
    memcpy((void *)SANDBOX_BASE, m->mem, SANDBOX_SIZE);
}

static void save(struct machine *m)
{
    memcpy(m->gpr, host_regs, sizeof m->gpr);
    for (unsigned n = 0; host_entry.cs == CS32 && n < 16;
         n++) /* upper halves are undefined after 32-bit mode */
        m->gpr[n] = (uint32_t)m->gpr[n];
    m->rflags = host_regs[16];
    m->fcw = host_fp.fcw;
    m->fsw = host_fp.fsw;
    m->valid = host_fp.valid;
    m->mxcsr = host_fp.mxcsr;
    for (unsigned n = 0; n < 8; n++)
        memcpy(m->st[n], host_fp.st[n], 10);
    for (unsigned n = 0; n < 16; n++) {
        memcpy(m->ymm[n], host_fp.xmm[n], 16);
        memcpy(m->ymm[n] + 2, host_fp.ymm_high[n], 16);
    }
    memcpy(m->mem, (const void *)SANDBOX_BASE, SANDBOX_SIZE);
}

/* jmp *(next quadword); from 32-bit mode a far jump to such a jump. */
static void put_way_back(uint8_t *out)
{
    static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0};
    static const uint32_t landing = CODE_BASE + CODE_SIZE - 16;
    static const uint16_t cs64 = CS64;
    uintptr_t back = (uintptr_t)host_leave;
    if (host_entry.cs == CS32) {
        out[0] = 0xea;
        memcpy(out + 1, &landing, 4);
        memcpy(out + 5, &cs64, 2);
        out = (uint8_t *)(uintptr_t)landing;
    }
    memcpy(out, jump, sizeof jump);
    memcpy(out + sizeof jump, &back, sizeof back);
}

void host_run(struct machine *m, const uint8_t *code, size_t len)
{
    memcpy((uint8_t *)CODE_BASE, code, len);
    put_way_back((uint8_t *)CODE_BASE + len);
    fault.vector = -1;
    load(m);
    host_enter();
    save(m);
    m->rip = CODE_BASE + len;
    m->fault = fault.vector;
    m->error = 0;
    m->cr2 = 0;
    if (fault.vector >= 0) {
        m->rip = fault.rip;
        m->error = fault.error;
        m->cr2 = fault.vector == 14 ? fault.cr2 : 0;
    }
}
