// SPDX-License-Identifier: MIT
//
// Operands in memory: addressing forms, address-size prefix, FS and GS, RIP-relative, canonical addresses, misaligned accesses across pages, and
// accesses whose second page is not there: nothing changed. SDM vol. 1 section 3.7; vol. 3 section 4.7.
#include "cpu_test.h"

// Every register but rsp has a value, and still has it after a fault of `insn` at this address; the 16 bytes before the hole too.
.macro precise line, address, error, insn
    movabsq $0x0f0e0d0c0b0a0908, %rax
    movq %rax, W_END-8
    movabsq $0x0706050403020100, %rax
    movq %rax, W_END-16
    movabsq $0x1111111111111111, %rax
    movq %rax, W_BEFORE_RO+0xff8
    movabsq $0x1020304050607080, %rax
    movabsq $0x1020304050607081, %rdx
    movabsq $0x3, %rcx
    movabsq $0x1020304050607083, %rbx
    movabsq $W_END-3, %rdi
    movabsq $W_RO-3, %rsi
    movabsq $0x1020304050607086, %r8
    movabsq $0x1020304050607087, %r9
    set_flags CF|ZF|OF
    fault \line, 14, "\insn", \error
    check_eq \line, cpu_fault+FAULT_CR2(%rip), \address, "\insn, address"
    check_flags \line, CF|ZF|OF, ARITH, "\insn, flags after the fault"
    check_eq \line, %rax, 0x1020304050607080, "\insn, rax after the fault"
    check_eq \line, %rdx, 0x1020304050607081, "\insn, rdx after the fault"
    check_eq \line, %rcx, 3, "\insn, rcx after the fault"
    check_eq \line, %rbx, 0x1020304050607083, "\insn, rbx after the fault"
    check_eq \line, %rdi, W_END-3, "\insn, rdi after the fault"
    check_eq \line, %rsi, W_RO-3, "\insn, rsi after the fault"
    check_eq \line, %r8, 0x1020304050607086, "\insn, r8 after the fault"
    check_eq \line, %r9, 0x1020304050607087, "\insn, r9 after the fault"
    check_eq \line, W_END-8, 0x0f0e0d0c0b0a0908, "\insn, memory before the hole"
    check_eq \line, W_END-16, 0x0706050403020100, "\insn, memory before the hole"
    check_eq \line, W_BEFORE_RO+0xff8, 0x1111111111111111, "\insn, memory before the read-only page"
.endm
// (%rdi) and (%rsi) are three bytes before the hole and before the read-only page.
#define HOLE_READ(insn) precise __LINE__, W_END, PF_USER, insn
#define HOLE_WRITE(insn) precise __LINE__, W_END, PF_USER|PF_WRITE, insn
#define RO_WRITE(insn) precise __LINE__, W_RO, PF_USER|PF_WRITE|PF_PRESENT, insn

cpu_topic_main:
    // --- addressing: every register as base and index, scales, displacements ---
    SET_MEM(W_RW+0x100, 0x1111111111111111)
    SET_MEM(W_RW+0x108, 0x2222222222222222)
    .macro address line, insn, want
    movl $W_RW+0x100, %ebx
    movl $W_RW+0x100, %ebp
    movl $W_RW+0x100, %r12d
    movl $W_RW+0x100, %r13d
    movl $1, %ecx
    movq $-1, %r9
    movl $2, %edx
    movl $8, %esi
    \insn
    check_eq \line, %rax, \want, "\insn"
    .endm
#define ADDRESS(insn, want) address __LINE__, insn, want
    ADDRESS("movq (%rbx), %rax", 0x1111111111111111)
    ADDRESS("movq 8(%rbx), %rax", 0x2222222222222222)
    ADDRESS("movq (%rbx,%rcx,8), %rax", 0x2222222222222222)
    ADDRESS("movq 16(%rbx,%r9,8), %rax", 0x2222222222222222)
    ADDRESS("movq 12(%rbp,%r9,4), %rax", 0x2222222222222222)
    ADDRESS("movq (%r12), %rax", 0x1111111111111111)
    ADDRESS("movq (%r13), %rax", 0x1111111111111111)
    ADDRESS("movq (%r13,%rdx,4), %rax", 0x2222222222222222)
    ADDRESS("movq 0x100+W_RW(,%rsi,1), %rax", 0x2222222222222222)
    ADDRESS("movq W_RW+0x108, %rax", 0x2222222222222222)
    ADDRESS("movabsq W_RW+0x108, %rax", 0x2222222222222222)
    ADDRESS("movl W_RW+0x106, %eax", 0x22221111)
    ADDRESS("leaq -1(%r9,%r9,8), %rax", -10)
    ADDRESS("leal -1(%r9,%r9,8), %eax", 0xfffffff6)
    ADDRESS("leaw 1(%rbx), %ax; movzwl %ax, %eax", 0x101)
    ADDRESS("leaq (,%r9,8), %rax", -8)
    ADDRESS("leaq 0x7fffffff(%rcx), %rax", 0x80000000)
    ADDRESS("leaq -0x80000000(%rcx), %rax", -0x7fffffff)
    ADDRESS(".byte 0x48, 0x8d, 0x04, 0x24; subq %rsp, %rax", 0) // index 100 without REX.X is none
    ADDRESS("movq %rsp, %r12; .byte 0x4a, 0x8d, 0x04, 0x24; subq %rsp, %rax; subq %r12, %rax", 0) // with it: r12

    // --- the 67 prefix: 32-bit sums, zero-extended ---
    SET(%rbx, 0xffffffff00000000+W_RW+0x100)
    movq (%ebx), %rax
    CHECK_EQ(%rax, 0x1111111111111111, (%ebx))
    SET(%rcx, 0xffffffff80000000)
    SET(%rbx, 0x80000000+W_RW+0x100)
    movq 8(%ebx,%ecx), %rax
    CHECK_EQ(%rax, 0x2222222222222222, the sum wraps at 4 GiB)
    leaq (%ebx,%ecx), %rax
    CHECK_EQ(%rax, W_RW+0x100, leaq of 32-bit addresses is zero-extended)
    movl $-8, %ebx
    leaq (%ebx), %rax
    CHECK_EQ(%rax, 0xfffffff8, lea of a negative 32-bit address)
    .byte 0x67, 0x48, 0x8d, 0x05 // lea 0(%eip), %rax
    .long 0
1:  CHECK_EQ(%rax, 1b, eip-relative)
    .byte 0x67, 0xa1 // mov moffs32, %eax
    .long W_RW+0x108
    CHECK_EQ(%rax, 0x22222222, moffs with 67)

    // --- RIP-relative counts from the end of the instruction, immediates included ---
    leaq 1f(%rip), %rax
1:  CHECK_EQ(%rax, 1b, lea to the next)
    movq $0, cpu_operand
    movl $0x12345678, cpu_operand(%rip)
    movb $0x9a, cpu_operand+4(%rip)
    addw $0x1111, cpu_operand(%rip)
    CHECK_EQ(cpu_operand, 0x9a12346789, rip-relative with immediates of all sizes)
    imull $2, cpu_operand(%rip), %eax
    CHECK_EQ(%rax, 0x2468cf12, imul with rip-relative operand and immediate)

    // --- FS and GS; the others mean nothing ---
    NEED_FSGSBASE(1f)
    movl $W_RW, %eax
    wrfsbase %rax
    SET(%rdx, 0x7ffff0000000)
    wrgsbase %rdx
    movq %fs:0x100, %rax
    CHECK_EQ(%rax, 0x1111111111111111, fs)
    SET(%rbx, W_RW+0x108-0x7ffff0000000)
    movq %gs:(%rbx), %rax
    CHECK_EQ(%rax, 0x2222222222222222, gs with an offset that wraps)
    movl $0x100, %ebx
    movq %fs:(%ebx), %rax
    CHECK_EQ(%rax, 0x1111111111111111, fs with a 32-bit offset)
    .byte 0x64, 0x48, 0x8d, 0x04, 0x25 // lea %fs:0x100, %rax
    .long 0x100
    CHECK_EQ(%rax, 0x100, lea does not know fs)
    movl $0x100, %esi
    lodsq %fs:(%rsi), %rax
    CHECK_EQ(%rax, 0x1111111111111111, lodsq from fs)
    movl $W_RW+0x108, %ebx
    .byte 0x64, 0x3e, 0x48, 0x8b, 0x83 // fs ds: the ds prefix is ignored, so this is fs
    .long -W_RW
    CHECK_EQ(%rax, 0x2222222222222222, fs and then ds)
    .byte 0x2e, 0x48, 0x8b, 0x03 // cs
    CHECK_EQ(%rax, 0x2222222222222222, cs in 64-bit mode)
    rdfsbase %rax
    CHECK_EQ(%rax, W_RW, rdfsbase)
    rdgsbase %eax
    CHECK_EQ(%rax, 0xf0000000, rdgsbase of 32 bits)
    SET(%rax, 0xffffffff00000010)
    wrfsbase %eax
    rdfsbase %rdx
    CHECK_EQ(%rdx, 0x10, wrfsbase of 32 bits)
    SET(%rax, 0x8000000000000000)
    FAULT_CODE(13, 0, "wrfsbase %rax")
    rdfsbase %rdx
    CHECK_EQ(%rdx, 0x10, wrfsbase that faults)
    xorl %eax, %eax
    wrfsbase %rax
    wrgsbase %rax
1:

    // --- canonical addresses ---
    SET(%rax, 0x800000000000)
    FAULT_CODE(13, 0, "movb (%rax), %dl")
    SET(%rax, 0x7fffffffffff) // the last byte before the gap: the access reaches into it
    ON_FAULT(1f)
    movw (%rax), %dx
1:  CHECK_MASK(cpu_fault+FAULT_VECTOR, 12, 12, a word across the edge faults)
    SET(%rax, 0xffff7fffffffffff)
    FAULT_CODE(13, 0, "movb %dl, (%rax)")
    SET(%rax, 0x8000000000000000)
    SET_FLAGS(ARITH)
    FAULT_CODE(13, 0, "lock incl (%rax)")
    CHECK_FLAGS(ARITH, ARITH, lock inc that faults)

    // --- misaligned, across a page boundary that both pages have ---
    SET_MEM(W_RW+0x1000-8, 0x1716151413121110)
    SET_MEM(W_RW+0x1000, 0x1f1e1d1c1b1a1918)
    movl $W_RW+0x1000, %ebx
    movzwl -1(%rbx), %eax
    CHECK_EQ(%rax, 0x1817, word across)
    movl -1(%rbx), %eax
    CHECK_EQ(%rax, 0x1a191817, dword across)
    movl -3(%rbx), %eax
    CHECK_EQ(%rax, 0x18171615, dword across)
    movq -1(%rbx), %rax
    CHECK_EQ(%rax, 0x1e1d1c1b1a191817, qword across)
    movq -7(%rbx), %rax
    CHECK_EQ(%rax, 0x1817161514131211, qword across)
    movdqu -5(%rbx), %xmm0
    SET_MEM(W_RW+0x1008, 0x2726252423222120)
    movdqu -5(%rbx), %xmm0
    CHECK_XMM(0, 0x1a19181716151413, 0x2221201f1e1d1c1b, movdqu across)
    SET(%rax, 0xaabbccddeeff0011)
    movq %rax, -3(%rbx)
    CHECK_EQ(W_RW+0x1000-8, 0xff00111413121110, qword stored across)
    CHECK_EQ(W_RW+0x1000, 0x1f1e1daabbccddee, qword stored across)
    lock addl %eax, -2(%rbx)
    CHECK_EQ(W_RW+0x1000-8, 0xff11111413121110, lock add across)
    pushq W_RW+0x1000-4
    popq %rax
    CHECK_EQ(%rax, 0xbbccccedff111114, push of a qword across)

    // --- the second page is not there, or not writable: nothing changes ---
    HOLE_READ("movl (%rdi), %eax")
    HOLE_READ("movq (%rdi), %rdx")
    HOLE_READ("addl (%rdi), %eax")
    HOLE_READ("cmpq %rax, (%rdi)")
    HOLE_READ("testl $1, (%rdi)")
    HOLE_READ("imull (%rdi), %eax")
    HOLE_READ("mulq (%rdi)")
    HOLE_READ("divl (%rdi)")
    HOLE_READ("popcntq (%rdi), %rax")
    HOLE_READ("bsfl (%rdi), %eax")
    HOLE_READ("btl $1, (%rdi)")
    HOLE_READ("pushq (%rdi)")
    HOLE_READ("movslq (%rdi), %rax")
    HOLE_READ("call *(%rdi)")
    HOLE_READ("jmp *(%rdi)")
    HOLE_READ("fldl (%rdi)")
    HOLE_READ("movdqu (%rdi), %xmm0")
    HOLE_READ("addss (%rdi), %xmm0")
    HOLE_WRITE("movl %eax, (%rdi)")
    HOLE_WRITE("movq %rax, (%rdi)")
    HOLE_WRITE("movq $-1, (%rdi)")
    HOLE_WRITE("addl %eax, (%rdi)")
    HOLE_WRITE("lock addq %rax, (%rdi)")
    HOLE_WRITE("adcl $5, (%rdi)")
    HOLE_WRITE("incl (%rdi)")
    HOLE_WRITE("negq (%rdi)")
    HOLE_WRITE("notl (%rdi)")
    HOLE_WRITE("shll $3, (%rdi)")
    HOLE_WRITE("rclq %cl, (%rdi)")
    HOLE_WRITE("shldl $4, %eax, (%rdi)")
    HOLE_WRITE("btsl $1, (%rdi)")
    HOLE_WRITE("xchgl %eax, (%rdi)")
    HOLE_WRITE("xaddq %rax, (%rdi)")
    HOLE_WRITE("cmpxchgl %edx, (%rdi)")
    HOLE_WRITE("cmpxchg8b (%rdi)")
    HOLE_WRITE("popq (%rdi)")
    HOLE_WRITE("movnti %eax, (%rdi)")
    HOLE_WRITE("fsts (%rdi)")
    HOLE_WRITE("fistpl (%rdi)")
    HOLE_WRITE("fnstenv (%rdi)")
    HOLE_WRITE("movdqu %xmm0, (%rdi)")
    HOLE_WRITE("movups %xmm0, (%rdi)")
    HOLE_WRITE("movsd %xmm0, (%rdi)")
    HOLE_WRITE("stmxcsr (%rdi)")
    RO_WRITE("movl %eax, (%rsi)")
    RO_WRITE("addq %rax, (%rsi)")
    RO_WRITE("cmpxchgq %rdx, (%rsi)") // faults even when it would not store
    RO_WRITE("xchgq %rax, (%rsi)")
    RO_WRITE("movdqu %xmm0, (%rsi)")
    RO_WRITE("fstpl (%rsi)")
    RO_WRITE("fnstenv (%rsi)")
    RO_WRITE("sarl $1, (%rsi)")
    RO_WRITE("setc 3(%rsi)")
    fninit
    // Both pages are bad: the first one is named.
    movl $W_AFTER_END-0x1000-3, %edi // read-only, then writable
    PAGE_FAULT(W_AFTER_RO-3, PF_USER|PF_WRITE|PF_PRESENT, "movl %eax, (%rdi)")

    // --- instructions across pages; the second one not there ---
    movl $0x90909090, W_CODE+0xffc
    movl $0x00000001, W_CODE+0x1000
    movb $0xb8, W_CODE+0xfff // mov $1, %eax; ret
    movb $0xc3, W_CODE+0x1004
    xorl %eax, %eax
    movl $W_CODE+0xffc, %edx
    call *%rdx
    CHECK_EQ(%rax, 1, an instruction in two pages)
    movb $0xb8, W_CODE_END-3
    movl $W_CODE_END-3, %edx
    SET(%rax, 0x1234)
    movq %rsp, %rbx
    ON_FAULT(1f)
    call *%rdx
1:  movq %rbx, %rsp
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, an instruction whose end is not there)
    CHECK_EQ(cpu_fault+FAULT_RIP, W_CODE_END-3, an instruction whose end is not there: rip)
    CHECK_EQ(cpu_fault+FAULT_CR2, W_CODE_END, an instruction whose end is not there: address)
    CHECK_EQ(%rax, 0x1234, an instruction whose end is not there)
    movb $0xc3, W_CODE_END-1 // complete in front of the hole: no fault
    movl $W_CODE_END-1, %edx
    call *%rdx
    // Pages that are not for execution.
    movb $0xc3, W_RW
    movl $W_RW, %edx
    movq %rsp, %rbx
    ON_FAULT(1f)
    call *%rdx
1:  movq %rbx, %rsp
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, code in a page that is no code)
    CHECK_EQ(cpu_fault+FAULT_ERROR, PF_USER|PF_PRESENT|PF_FETCH, code in a page that is no code)
    ret
