// SPDX-License-Identifier: MIT
//
// More macros, for the topics that run in ring 0 (sys_<topic>.S): into ring 3 and back, descriptors, page tables, control registers.
#pragma once
#include "cpu_test.h"
#include "lib/cpu_guest.h"

// Ring 3 at a label, with these flags; an exception there comes back to ring 0 where FAULT_RESUME says, on this stack.
.macro enter_user at, flags=2
    movq %rsp, guest_return_rsp
    pushq $SEL_USER_DATA
    pushq $W_RW+0x1000
    pushq $\flags
    pushq $SEL_USER_CODE
    pushq $\at
    iretq
.endm
// `insn` in ring 3 raises the vector.
.macro user_fault line, vector, error, insn
    movq $.Lback\@, cpu_fault+FAULT_RESUME
    movq $-1, cpu_fault+FAULT_VECTOR
    enter_user .Luser\@
.Luser\@:
    \insn
    ud2
.Lback\@:
    check_eq \line, cpu_fault+FAULT_VECTOR, \vector, "ring 3: \insn, exception"
    check_eq \line, cpu_fault+FAULT_ERROR, \error, "ring 3: \insn, error code"
    check_eq \line, cpu_fault+FAULT_RIP, .Luser\@, "ring 3: \insn, rip"
    check_eq \line, cpu_fault+FAULT_CS, SEL_USER_CODE, "ring 3: \insn, cs"
.endm
#define USER_FAULT(vector, error, insn) user_fault __LINE__, vector, error, insn
// `insn` runs in ring 3: UD2 behind it brings us back.
.macro user_runs line, insn
    movq $.Lback\@, cpu_fault+FAULT_RESUME
    movq $-1, cpu_fault+FAULT_VECTOR
    enter_user .Luser\@
.Luser\@:
    \insn
.Lend\@:
    ud2
.Lback\@:
    check_eq \line, cpu_fault+FAULT_RIP, .Lend\@, "ring 3: \insn runs"
    check_eq \line, cpu_fault+FAULT_VECTOR, 6, "ring 3: \insn runs"
.endm
#define USER_RUNS(insn) user_runs __LINE__, insn

.macro write_cr n, value
    movabsq $\value, %rax
    movq %rax, %cr\n
.endm
.macro set_cr n, bits
    movq %cr\n, %rax
    orq $\bits, %rax
    movq %rax, %cr\n
.endm
.macro clear_cr n, bits
    movq %cr\n, %rax
    movq $~(\bits), %rcx
    andq %rcx, %rax
    movq %rax, %cr\n
.endm
.macro load_msr n
    movl $\n, %ecx
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
.endm
.macro store_msr n, value
    movl $\n, %ecx
    movl $(\value)&0xffffffff, %eax
    movl $((\value)>>32)&0xffffffff, %edx
    wrmsr
.endm
// WRMSR of this value must be #GP(0).
.macro bad_msr line, n, value
    movl $\n, %ecx
    movl $(\value)&0xffffffff, %eax
    movl $((\value)>>32)&0xffffffff, %edx
    fault \line, 13, "wrmsr", 0
.endm
#define BAD_MSR(n, value) bad_msr __LINE__, n, value
// MOV to a control register of (present value | bits) must be #GP(0) and change nothing.
.macro bad_cr line, n, clear, bits
    movq %cr\n, %rbx
    movq %rbx, %rax
    movabsq $~(\clear), %rcx
    andq %rcx, %rax
    movabsq $\bits, %rcx
    orq %rcx, %rax
    fault \line, 13, "movq %rax, %cr\n", 0
    movq %cr\n, %rax
    subq %rbx, %rax
    check_eq \line, %rax, 0, "cr\n after the fault"
.endm
#define BAD_CR(n, clear, bits) bad_cr __LINE__, n, clear, bits
.macro set_descriptor sel, value
    movabsq $\value, %rax
    movq %rax, guest_gdt+((\sel)&~7)
.endm
