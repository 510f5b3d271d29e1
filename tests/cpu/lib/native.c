// SPDX-License-Identifier: MIT
//
// A CPU test as a program of its own on Linux, without a C library, so that FS, the stack and the signal frames are the test's alone.
// Exceptions come back as signals, whose frames have vector, error code and address.
#include "report.h"

#define PROT_RW 3
#define PROT_RWX 7
#define PROT_RO 1
#define MAP_FIXED_PRIVATE 0x32

enum { SYS_WRITE = 1, SYS_MMAP = 9, SYS_MPROTECT = 10, SYS_SIGACTION = 13, SYS_SIGRETURN = 15, SYS_EXIT = 60, SYS_SIGALTSTACK = 131 };

static long call6(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return ret;
}

/* The kernel's layouts (asm/sigcontext.h, asm/ucontext.h). */
struct sigaction_kernel {
    void (*handler)(int, void *, void *);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};
struct context {
    unsigned long flags;
    void *link;
    struct {
        void *sp;
        int flags;
        unsigned long size;
    } stack;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2;
};
#define SA_FLAGS 0x4c000004ul /* SIGINFO, RESTORER, NODEFER, ONSTACK */

_Noreturn void world_end(const char *text, unsigned len, bool good)
{
    for (long n; len && (n = call6(SYS_WRITE, 1, (long)text, len, 0, 0, 0)) > 0; text += n)
        len -= (unsigned)n;
    for (;;)
        call6(SYS_EXIT, good ? 0 : 1, 0, 0, 0, 0, 0);
}

bool world_is_wrong(const char *name)
{
    (void)name;
    return false;
}

static void handler(int signal, void *info, void *opaque)
{
    struct context *c = opaque;
    (void)signal, (void)info;
    uint64_t resume = cpu_fault.resume;
    cpu_fault = (struct cpu_fault){0, c->trapno, c->err, c->cr2, c->ip, c->rflags, c->sp, c->cs};
    if (!resume)
        report_unexpected(&cpu_fault);
    c->ip = resume;
    c->rflags &= ~0x10100ull; /* RF, TF */
}

__asm__(".globl native_restorer\nnative_restorer: mov $15, %eax\nsyscall\n"
        ".globl _start\n_start: and $-16, %rsp\ncall native_main\n");
void native_restorer(void);
_Noreturn void native_main(void);

static void map(unsigned long at, unsigned pages, long prot)
{
    if (call6(SYS_MMAP, (long)at, pages * 4096L, prot, MAP_FIXED_PRIVATE, -1, 0) != (long)at)
        call6(SYS_EXIT, 99, 0, 0, 0, 0, 0);
}

static uint8_t signal_stack[65536] __attribute__((aligned(16)));

void native_main(void)
{
    static const int signals[] = {4, 5, 7, 8, 11}; /* ILL TRAP BUS FPE SEGV */
    const struct {
        void *sp;
        long flags;
        unsigned long size;
    } stack = {signal_stack, 0, sizeof signal_stack};
    const struct sigaction_kernel action = {handler, SA_FLAGS, native_restorer, 0};
    call6(SYS_SIGALTSTACK, (long)&stack, 0, 0, 0, 0, 0);
    for (unsigned n = 0; n < sizeof signals / sizeof signals[0]; n++)
        call6(SYS_SIGACTION, signals[n], (long)&action, 0, 8, 0, 0);
    map(0x10000000, 2, PROT_RW);
    map(0x10003000, 3, PROT_RW);
    map(0x10007000, 2, PROT_RWX);
    for (unsigned n = 0; n < 4096; n++)
        *(volatile uint8_t *)(0x10004000ul + n) = (uint8_t)n;
    call6(SYS_MPROTECT, 0x10004000, 4096, PROT_RO, 0, 0, 0);
    cpu_topic_main();
    report_end();
}
