// SPDX-License-Identifier: MIT
//
// SYSCALL, SYSRET: selectors from STAR, flags by FMASK, RCX and R11, returns to 32 and 64 bits, non-canonical targets; SYSENTER; SWAPGS. SDM vol. 2;
// APM vol. 3.
#include "cpu_sys.h"

#define STAR 0xc0000081
#define LSTAR 0xc0000082
#define FMASK 0xc0000084

cpu_topic_main:
    store_msr STAR, (SEL_USER_CODE32<<48)|(SEL_CODE<<32)
    store_msr FMASK, 0x47700|CF
    // --- SYSCALL from ring 3 ---
    movq $1f, %rax
    movq %rax, %rdx
    shrq $32, %rdx
    movl $LSTAR, %ecx
    wrmsr
    SET(%rbx, 0x1234)
    enter_user 2f, ARITH|DF|AC|2
2:  syscall
3:  ud2
1:
    movq %rsp, %r8
    movq guest_return_rsp, %rsp
    pushfq
    popq %r9
    pushq $2
    popfq
    movl %cs, %r12d
    movl %ss, %r13d
    CHECK_EQ(%rcx, 3b, syscall: rcx)
    CHECK_EQ(%r8, W_RW+0x1000, syscall leaves rsp)
    CHECK_EQ(%r11, ARITH|DF|AC|2, syscall: r11)
    CHECK_EQ(%r9, (ARITH&~CF)|2, syscall: flags under FMASK)
    CHECK_EQ(%r12, SEL_CODE, syscall: cs)
    CHECK_EQ(%r13, SEL_CODE_DATA, syscall: ss)

    // --- SYSRETQ: flags from R11, without RF and VM ---
    movq %rsp, guest_return_rsp
    ON_FAULT(1f)
    SET(%r11, ARITH|NT|AC|RF|1<<17|IOPL3|8|1<<15)
    movl $2f, %ecx
    sysretq
2:  movl %cs, %r12d
    movl %ss, %r13d
    movl $W_RW+0x1000, %esp
    pushfq
    popq %r9
    ud2
1:  CHECK_EQ(%r12, SEL_USER_CODE, sysretq: cs)
    CHECK_EQ(%r13, SEL_USER_DATA, sysretq: ss)
    CHECK_EQ(%r9, ARITH|NT|AC|IOPL3|2, sysretq: flags)
    CHECK_EQ(cpu_fault+FAULT_CS, SEL_USER_CODE, sysretq: ring 3)

    // --- SYSRETL: 32-bit code ---
    movq %rsp, guest_return_rsp
    ON_FAULT(1f)
    movl $2, %r11d
    SET(%rcx, 0x1122334400000000+2f)
    SET(%rbx, 0xffffffffffffffff)
    sysretl
    .code32
2:  incl %ebx
    .byte 0x41 // INC ECX
    ud2
    .code64
1:  CHECK_EQ(cpu_fault+FAULT_CS, SEL_USER_CODE32, sysretl: cs)
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 6, sysretl: 32-bit code)
    CHECK_EQ(%rbx, 0, sysretl: 32-bit code)

    // --- refused ---
    USER_FAULT(13, 0, "sysretq")
    movl $0xc0000080, %ecx // without SCE both are undefined
    rdmsr
    btrl $0, %eax
    wrmsr
    FAULT(6, "sysretq")
    USER_FAULT(6, 0, "syscall")
    movl $0xc0000080, %ecx
    rdmsr
    btsl $0, %eax
    wrmsr

    // --- SYSCALL in ring 0, no flags masked but those of FMASK ---
    store_msr FMASK, 0
    movq $1f, %rax
    xorl %edx, %edx
    movl $LSTAR, %ecx
    wrmsr
    SET_FLAGS(ARITH)
    syscall
2:  ud2
1:  CHECK_FLAGS(ARITH, ARITH, syscall with FMASK 0)
    CHECK_EQ(%rcx, 2b, syscall in ring 0)

    // --- SWAPGS and a base in ring 3 ---
    store_msr 0xc0000101, W_RO
    store_msr 0xc0000102, W_RO+0x10
    USER_RUNS("movb %gs:5, %bl")
    CHECK_MASK(%rbx, 5, 0xff, gs in ring 3)
    swapgs
    movb %gs:5, %bl
    CHECK_MASK(%rbx, 0x15, 0xff, swapgs)
    swapgs
    store_msr 0xc0000101, 0
    NO_FAULT
    ret
