// SPDX-License-Identifier: MIT
//
// What the CPU tests in assembly (tests/cpu/<topic>.S) are written with. A topic is one function, cpu_topic_main, of cases; each case sets
// registers and flags, runs an instruction and checks what became of all of it. The same source is linked with lib/native.c into a
// program for the host's CPU, and with lib/guest.c into a guest that runs it in ring 3 (sys_<topic>.S: ring 0, guests only).
//
// CHECK_* keep every register and flag. They use the stack below rsp, so rsp must be good; what they store of vector and
// x87 registers goes through cpu_scratch. A failure names the topic, the line of the case, what was looked at, what was
// wanted and what came.
#pragma once

// RFLAGS; symbols of the assembler, so that expressions of them are one macro argument.
.set CF, 0x1
.set PF, 0x4
.set AF, 0x10
.set ZF, 0x40
.set SF, 0x80
.set TF, 0x100
.set IF, 0x200
.set DF, 0x400
.set OF, 0x800
.set IOPL3, 0x3000
.set NT, 0x4000
.set RF, 0x10000
.set AC, 0x40000
.set ID, 0x200000
.set ARITH, 0x8d5
.set NOAF, 0x8c5 // AF is undefined after logic operations and shifts

// Pages that have the same place everywhere. Two of RAM, then none; RAM, read-only (byte n is n), RAM, then none; RAM to execute, then none.
.set W_RW, 0x10000000
.set W_END, 0x10002000
.set W_BEFORE_RO, 0x10003000
.set W_RO, 0x10004000
.set W_AFTER_RO, 0x10005000
.set W_AFTER_END, 0x10006000
.set W_CODE, 0x10007000
.set W_CODE_END, 0x10009000

// cpu_fault: what the last exception was, and where to go on after it.
.set FAULT_RESUME, 0
.set FAULT_VECTOR, 8
.set FAULT_ERROR, 16
.set FAULT_CR2, 24
.set FAULT_RIP, 32
.set FAULT_FLAGS, 40
.set FAULT_RSP, 48
.set FAULT_CS, 56

    .text
    .globl cpu_topic_main
    .pushsection .rodata
    .globl cpu_topic
cpu_topic:
    .asciz CPU_TOPIC
    .popsection
    .pushsection .data
    .globl cpu_ring
cpu_ring:
    .long CPU_RING
    .popsection

// --- checks ---

// Frame for cpu_check: what, line, mask, want, rax, got, flags.
.macro check_frame line, mask, want, what
    pushq %rax
    movabsq $\want, %rax
    pushq %rax
    movabsq $\mask, %rax
    pushq %rax
    pushq $\line
    leaq .Lwhat\@(%rip), %rax
    pushq %rax
    .pushsection .rodata
.Lwhat\@:
    .asciz "\what"
    .popsection
.endm

.macro check_done
    leaq 32(%rsp), %rsp
    popq %rax
    leaq 8(%rsp), %rsp
    popfq
.endm

.macro check_eq line, got, want, what, mask=-1
    pushfq
    pushq \got
    check_frame \line, \mask, \want, "\what"
    call cpu_check
    check_done
.endm

.macro check_flags line, want, mask, what
    pushfq
    pushq (%rsp)
    check_frame \line, \mask, \want, "\what"
    call cpu_check_flags
    check_done
.endm

// A 64-bit register or memory operand (not relative to rsp).
#define CHECK_EQ(got, want, what...) check_eq __LINE__, got, want, #what
#define CHECK_MASK(got, want, mask, what...) check_eq __LINE__, got, want, #what, mask
#define CHECK_FLAGS(want, mask, what...) check_flags __LINE__, want, mask, #what

// cpu_same: an aligned copy of what a test looks at in pieces.
.macro check_xmm line, n, lo, hi, what
    movups %xmm\n, cpu_scratch(%rip)
    check_eq \line, cpu_scratch(%rip), \lo, "\what, xmm\n low"
    check_eq \line, cpu_scratch+8(%rip), \hi, "\what, xmm\n high"
.endm
#define CHECK_XMM(n, lo, hi, what...) check_xmm __LINE__, n, lo, hi, #what

.macro check_ymm line, n, a, b, c, d, what
    vmovups %ymm\n, cpu_scratch(%rip)
    check_eq \line, cpu_scratch(%rip), \a, "\what, ymm\n [0]"
    check_eq \line, cpu_scratch+8(%rip), \b, "\what, ymm\n [1]"
    check_eq \line, cpu_scratch+16(%rip), \c, "\what, ymm\n [2]"
    check_eq \line, cpu_scratch+24(%rip), \d, "\what, ymm\n [3]"
.endm
#define CHECK_YMM(n, a, b, c, d, what...) check_ymm __LINE__, n, a, b, c, d, #what

.macro check_mm line, n, want, what
    movq %mm\n, cpu_scratch(%rip)
    check_eq \line, cpu_scratch(%rip), \want, "\what, mm\n"
.endm
#define CHECK_MM(n, want, what...) check_mm __LINE__, n, want, #what

// ST(n) by sign and exponent, and mantissa.
.macro check_st line, n, exponent, mantissa, what
    fxsave64 cpu_scratch(%rip)
    check_eq \line, cpu_scratch+32+16*\n(%rip), \mantissa, "\what, st(\n) mantissa"
    check_eq \line, cpu_scratch+40+16*\n(%rip), \exponent, "\what, st(\n) exponent", 0xffff
.endm
#define CHECK_ST(n, exponent, mantissa, what...) check_st __LINE__, n, exponent, mantissa, #what

// x87 status word under a mask.
.macro check_sw line, want, mask, what
    fxsave64 cpu_scratch(%rip)
    check_eq \line, cpu_scratch+2(%rip), \want, "\what, status word", \mask
.endm
#define CHECK_SW(want, mask, what...) check_sw __LINE__, want, mask, #what

.macro check_mxcsr line, want, what
    movq $0, cpu_scratch(%rip)
    stmxcsr cpu_scratch(%rip)
    check_eq \line, cpu_scratch(%rip), \want, "\what, mxcsr"
.endm
#define CHECK_MXCSR(want, what...) check_mxcsr __LINE__, want, #what

// --- input ---

// Arithmetic flags, DF, AC, ID, NT as given; the others off, IF as the ring has it.
#define SET_FLAGS(flags) set_flags flags
.macro set_flags flags
    pushq $(\flags)|2
    popfq
.endm

.macro set_reg reg, value
    movabsq $\value, \reg
.endm
#define SET(reg, value) set_reg reg, value

.macro set_xmm n, lo, hi
    movabsq $\lo, %rax
    movq %rax, cpu_scratch(%rip)
    movabsq $\hi, %rax
    movq %rax, cpu_scratch+8(%rip)
    movups cpu_scratch(%rip), %xmm\n
.endm
#define SET_XMM(n, lo, hi) set_xmm n, lo, hi

.macro set_ymm n, a, b, c, d
    movabsq $\c, %rax
    movq %rax, cpu_scratch+16(%rip)
    movabsq $\d, %rax
    movq %rax, cpu_scratch+24(%rip)
    movabsq $\a, %rax
    movq %rax, cpu_scratch(%rip)
    movabsq $\b, %rax
    movq %rax, cpu_scratch+8(%rip)
    vmovups cpu_scratch(%rip), %ymm\n
.endm
#define SET_YMM(n, a, b, c, d) set_ymm n, a, b, c, d

.macro set_mm n, value
    movabsq $\value, %rax
    movq %rax, %mm\n
.endm
#define SET_MM(n, value) set_mm n, value

.macro set_mxcsr value
    movl $\value, cpu_scratch(%rip)
    ldmxcsr cpu_scratch(%rip)
.endm
#define SET_MXCSR(value) set_mxcsr value

.macro set_mem at, value // a qword; clobbers nothing
    movl $(\value)&0xffffffff, \at
    movl $((\value)>>32)&0xffffffff, 4+\at
.endm
#define SET_MEM(at, value) set_mem at, value

// --- whole cases ---

// rax, rdx, rcx and flags in; rax and flags out.
.macro op line, insn, a, d, c, fin, want, flags, mask
    movabsq $\a, %rax
    movabsq $\d, %rdx
    movabsq $\c, %rcx
    set_flags \fin
    \insn
    check_flags \line, \flags, \mask, "\insn, flags"
    check_eq \line, %rax, \want, "\insn, rax"
.endm
#define OP(insn, a, d, c, fin, want, flags, mask) op __LINE__, insn, a, d, c, fin, want, flags, mask

// One two-operand instruction in all its forms: registers (with the bits above a narrow result kept, or zeroed by a 32-bit one), memory
// source, memory destination with neighbours kept, LOCK.
#define RA_b %al
#define RA_w %ax
#define RA_l %eax
#define RA_q %rax
#define RD_b %dl
#define RD_w %dx
#define RD_l %edx
#define RD_q %rdx
#define HI_b 0x1122334455667700
#define HI_w 0x1122334455660000
#define HI_l 0x1122334400000000
#define HI_q 0
#define HO_b 0x1122334455667700
#define HO_w 0x1122334455660000
#define HO_l 0
#define HO_q 0
.macro alu_load a, b, fin
    movabsq $\b, %rax
    movq %rax, cpu_operand+16(%rip)
    movabsq $\a, %rax
    movq %rax, cpu_operand(%rip)
    movabsq $\b, %rdx
    set_flags \fin
.endm
.macro alu line, op, s, ra, rd, hi, ho, a, b, fin, want, flags, mask
    alu_load \hi|\a, \b, \fin
    \op\s \rd, \ra
    check_flags \line, \flags, \mask, "\op\s \rd, \ra, flags"
    check_eq \line, %rax, \ho|\want, "\op\s \rd, \ra"
    alu_load \hi|\a, \b, \fin
    \op\s cpu_operand+16(%rip), \ra
    check_flags \line, \flags, \mask, "\op\s mem, \ra, flags"
    check_eq \line, %rax, \ho|\want, "\op\s mem, \ra"
    alu_load \hi|\a, \b, \fin
    \op\s \rd, cpu_operand(%rip)
    check_flags \line, \flags, \mask, "\op\s \rd, mem, flags"
    check_eq \line, cpu_operand(%rip), \hi|\want, "\op\s \rd, mem"
    .ifnc \op,cmp
    alu_load \hi|\a, \b, \fin
    lock \op\s \rd, cpu_operand(%rip)
    check_flags \line, \flags, \mask, "lock \op\s \rd, mem, flags"
    check_eq \line, cpu_operand(%rip), \hi|\want, "lock \op\s \rd, mem"
    .endif
.endm
#define ALU(op, s, a, b, fin, want, flags)                                                         \
    alu __LINE__, op, s, RA_##s, RD_##s, HI_##s, HO_##s, a, b, fin, want, flags, ARITH
#define LOGIC(op, s, a, b, fin, want, flags)                                                       \
    alu __LINE__, op, s, RA_##s, RD_##s, HI_##s, HO_##s, a, b, fin, want, flags, NOAF
// CMP: nothing is written, so nothing is zero-extended.
#define CMP(s, a, b, fin, flags)                                                                   \
    alu __LINE__, cmp, s, RA_##s, RD_##s, HI_##s, HI_##s, a, b, fin, a, flags, ARITH

// One-operand read-modify-write: register, memory, LOCK.
.macro unary line, op, s, ra, hi, ho, a, fin, want, flags, mask
    alu_load \hi|\a, 0, \fin
    \op\s \ra
    check_flags \line, \flags, \mask, "\op\s \ra, flags"
    check_eq \line, %rax, \ho|\want, "\op\s \ra"
    alu_load \hi|\a, 0, \fin
    \op\s cpu_operand(%rip)
    check_flags \line, \flags, \mask, "\op\s mem, flags"
    check_eq \line, cpu_operand(%rip), \hi|\want, "\op\s mem"
    alu_load \hi|\a, 0, \fin
    lock \op\s cpu_operand(%rip)
    check_flags \line, \flags, \mask, "lock \op\s mem, flags"
    check_eq \line, cpu_operand(%rip), \hi|\want, "lock \op\s mem"
.endm
#define UNARY(op, s, a, fin, want, flags)                                                          \
    unary __LINE__, op, s, RA_##s, HI_##s, HO_##s, a, fin, want, flags, ARITH

// --- exceptions ---

// The instruction must raise the vector (with this error code, when given); execution goes on behind it with all
// registers as the instruction found them.
.macro fault line, vector, insn, error=none
    movq $.Lresume\@, cpu_fault+FAULT_RESUME(%rip)
    movq $-1, cpu_fault+FAULT_VECTOR(%rip)
.Lfault\@:
    \insn
    movq $0, cpu_fault+FAULT_RESUME(%rip)
.Lresume\@:
    check_eq \line, cpu_fault+FAULT_VECTOR(%rip), \vector, "\insn, exception"
    .if \vector != 3 && \vector != 1
    check_eq \line, cpu_fault+FAULT_RIP(%rip), .Lfault\@, "\insn, rip of the exception"
    .endif
    .ifnc \error,none
    check_eq \line, cpu_fault+FAULT_ERROR(%rip), \error, "\insn, error code"
    .endif
.endm
#define FAULT(vector, insn) fault __LINE__, vector, insn
#define FAULT_CODE(vector, error, insn) fault __LINE__, vector, insn, error
// #PF with this error code at this address.
#define PAGE_FAULT(address, error, insn)                                                           \
    fault __LINE__, 14, insn, error;                                                               \
    check_eq __LINE__, cpu_fault+FAULT_CR2(%rip), address, "address of the page fault"
.set PF_WRITE, 2
.set PF_USER, 4
.set PF_PRESENT, 1
.set PF_FETCH, 16

// For sequences by hand: go on at `label` after an exception.
#define ON_FAULT(label)                                                                            \
    movq $label, cpu_fault+FAULT_RESUME(%rip);                                                     \
    movq $-1, cpu_fault+FAULT_VECTOR(%rip)
#define NO_FAULT movq $0, cpu_fault+FAULT_RESUME(%rip)

// --- what a CPU or an engine may lack; all clobber the caller-saved registers ---

// reg: 0 eax, 1 ebx, 2 ecx, 3 edx. Without the feature: counts and names a skip, goes on at the label.
.macro need_feature leaf, sub, reg, bit, label, what
    movl $\leaf, %edi
    movl $\sub, %esi
    movl $\reg, %edx
    movl $\bit, %ecx
    leaq .Lneed\@(%rip), %r8
    .pushsection .rodata
.Lneed\@:
    .asciz "\what"
    .popsection
    call cpu_need_feature
    testl %eax, %eax
    jz \label
.endm
#define NEED_SSE3(label) need_feature 1, 0, 2, 0, label, "SSE3"
#define NEED_PCLMUL(label) need_feature 1, 0, 2, 1, label, "PCLMULQDQ"
#define NEED_SSSE3(label) need_feature 1, 0, 2, 9, label, "SSSE3"
#define NEED_FMA(label) need_feature 1, 0, 2, 12, label, "FMA"
#define NEED_CX16(label) need_feature 1, 0, 2, 13, label, "CMPXCHG16B"
#define NEED_SSE41(label) need_feature 1, 0, 2, 19, label, "SSE4.1"
#define NEED_SSE42(label) need_feature 1, 0, 2, 20, label, "SSE4.2"
#define NEED_MOVBE(label) need_feature 1, 0, 2, 22, label, "MOVBE"
#define NEED_POPCNT(label) need_feature 1, 0, 2, 23, label, "POPCNT"
#define NEED_AES(label) need_feature 1, 0, 2, 25, label, "AES"
#define NEED_XSAVE(label) need_feature 1, 0, 2, 27, label, "XSAVE"
#define NEED_AVX(label) need_feature 1, 0, 2, 28, label, "AVX"
#define NEED_F16C(label) need_feature 1, 0, 2, 29, label, "F16C"
#define NEED_FSGSBASE(label) need_feature 7, 0, 1, 0, label, "FSGSBASE"
#define NEED_BMI1(label) need_feature 7, 0, 1, 3, label, "BMI1"
#define NEED_AVX2(label) need_feature 7, 0, 1, 5, label, "AVX2"
#define NEED_SMEP(label) need_feature 7, 0, 1, 7, label, "SMEP"
#define NEED_BMI2(label) need_feature 7, 0, 1, 8, label, "BMI2"
#define NEED_INVPCID(label) need_feature 7, 0, 1, 10, label, "INVPCID"
#define NEED_ADX(label) need_feature 7, 0, 1, 19, label, "ADX"
#define NEED_SMAP(label) need_feature 7, 0, 1, 20, label, "SMAP"
#define NEED_SHA(label) need_feature 7, 0, 1, 29, label, "SHA"
#define NEED_UMIP(label) need_feature 7, 0, 2, 2, label, "UMIP"
#define NEED_RDPID(label) need_feature 7, 0, 2, 22, label, "RDPID"
#define NEED_XSAVEOPT(label) need_feature 0xd, 1, 0, 0, label, "XSAVEOPT"
#define NEED_XSAVEC(label) need_feature 0xd, 1, 0, 1, label, "XSAVEC"
#define NEED_XGETBV1(label) need_feature 0xd, 1, 0, 2, label, "XGETBV with ecx 1"
#define NEED_LAHF(label) need_feature 0x80000001, 0, 2, 0, label, "LAHF in 64-bit mode"
#define NEED_LZCNT(label) need_feature 0x80000001, 0, 2, 5, label, "LZCNT"
#define NEED_PCID(label) need_feature 1, 0, 2, 17, label, "PCID"

// A part that an engine is known to get wrong here: skipped when run.sh says so on the command line (wrong=NAME).
.macro need_right name, label
    leaq .Lright\@(%rip), %rdi
    .pushsection .rodata
.Lright\@:
    .asciz "\name"
    .popsection
    call cpu_need_right
    testl %eax, %eax
    jz \label
.endm
#define NEED_RIGHT(name, label) need_right name, label
