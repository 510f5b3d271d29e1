// SPDX-License-Identifier: MIT
//
// Code that writes code: the next instruction, itself, the other side of a loop, across pages, by string instructions. x86 has no
// explicit flush: on the same CPU a near branch is enough, and processors do without even that. SDM vol. 3 section 8.1.3.
#include "cpu_test.h"

// Returns its number: b8 imm32 c3.
.macro put_answer at, n
    movb $0xb8, \at
    movl $\n, \at+1
    movb $0xc3, \at+5
.endm

cpu_topic_main:
    // --- a function changed between calls ---
    movl $W_CODE+0x100, %ebx
    put_answer W_CODE+0x100, 1
    call *%rbx
    CHECK_EQ(%rax, 1, first)
    movl $0x11223344, W_CODE+0x101
    call *%rbx
    CHECK_EQ(%rax, 0x11223344, immediate changed)
    movb $0x55, W_CODE+0x104
    call *%rbx
    CHECK_EQ(%rax, 0x55223344, one byte changed)
    xorl %r12d, %r12d
1:  movl %r12d, W_CODE+0x101
    call *%rbx
    subl %r12d, %eax
    CHECK_EQ(%rax, 0, changed in a loop)
    incl %r12d
    cmpl $40, %r12d
    jne 1b

    // --- the store is right in front of what it changes, in one run of instructions ---
    // c6 05 <rel> <imm8>: movb $imm, target(%rip); b0 00: mov $0, %al; c3
    movl $W_CODE+0x200, %ebx
    movw $0x05c6, W_CODE+0x200
    movl $1, W_CODE+0x202 // the byte behind the opcode of the next instruction
    movb $0x77, W_CODE+0x206
    movw $0x00b0, W_CODE+0x207
    movb $0xc3, W_CODE+0x209
    xorl %eax, %eax
    call *%rbx
    CHECK_EQ(%rax, 0x77, the next instruction changed)
    movb $0x78, W_CODE+0x206
    movb $0, W_CODE+0x208
    call *%rbx
    CHECK_EQ(%rax, 0x78, again)
    // REP STOSB over what follows it: mov, mov, rep stosb, then NOPs in the place of HLTs
    movl $W_CODE+0x300, %ebx
    movl $0xaaf3, W_CODE+0x300
    movl $0xf4f4f4f4, W_CODE+0x302
    movb $0xc3, W_CODE+0x306
    movl $W_CODE+0x302, %edi
    movl $4, %ecx
    movb $0x90, %al
    call *%rbx
    CHECK_EQ(%rcx, 0, rep stosb over what follows)

    // --- an instruction overwrites itself: it finishes as it began ---
    movl $W_CODE+0x400, %ebx
    movl $0xc3abf3, W_CODE+0x400 // rep stosl; ret
    movl $W_CODE+0x400, %edi
    movl $1, %ecx
    movl $0xc3c390c3, %eax // in its own place: ret, nop, ret, ret
    call *%rbx
    CHECK_EQ(%rdi, W_CODE+0x404, rep stosl over itself)
    CHECK_EQ(%rcx, 0, rep stosl over itself)
    CHECK_MASK(W_CODE+0x400, 0xc3c390c3, 0xffffffff, rep stosl over itself)
    call *%rbx

    // --- a loop changes its own body: add becomes sub ---
    movl $W_CODE+0x500, %ebx
    movw $0xc083, W_CODE+0x500   // add $1, %eax
    movb $1, W_CODE+0x502
    movw $0xc9ff, W_CODE+0x503   // dec %ecx
    movw $0xf975, W_CODE+0x505   // jnz to the beginning
    movb $0xc3, W_CODE+0x507
    xorl %eax, %eax
    movl $100, %ecx
    call *%rbx
    CHECK_EQ(%rax, 100, a loop)
    movb $0xe8, W_CODE+0x501     // sub
    movl $60, %ecx
    call *%rbx
    CHECK_EQ(%rax, 40, the loop with another body)

    // --- across pages: either half ---
    movl $W_CODE+0xffd, %ebx
    put_answer W_CODE+0xffd, 0x11223344
    call *%rbx
    CHECK_EQ(%rax, 0x11223344, across pages)
    movb $0x99, W_CODE+0xfff
    call *%rbx
    CHECK_EQ(%rax, 0x11229944, across pages: the first page changed)
    movb $0x88, W_CODE+0x1000
    call *%rbx
    CHECK_EQ(%rax, 0x11889944, across pages: the second page changed)

    // --- written as data in many ways ---
    put_answer W_CODE+0x600, 0
    movl $W_CODE+0x600, %ebx
    call *%rbx
    lock incl W_CODE+0x601
    call *%rbx
    CHECK_EQ(%rax, 1, by lock inc)
    movl $0x55667788, %edx
    xchgl %edx, W_CODE+0x601
    call *%rbx
    CHECK_EQ(%rax, 0x55667788, by xchg)
    fld1
    fstps W_CODE+0x601
    call *%rbx
    CHECK_EQ(%rax, 0x3f800000, by fstp)
    movl $0x12345678, %eax
    movd %eax, %xmm0
    movss %xmm0, W_CODE+0x601
    call *%rbx
    CHECK_EQ(%rax, 0x12345678, by movss)
    movl $0xaabbccdd, %eax
    movnti %eax, W_CODE+0x601
    mfence
    call *%rbx
    CHECK_EQ(%rax, 0xaabbccdd, by movnti)
    movq %rsp, %rdx
    movl $W_CODE+0x605, %esp
    pushw $0x0102
    movq %rdx, %rsp
    call *%rbx
    CHECK_EQ(%rax, 0x0102ccdd, by push)
    pushq $0x04030201
    popq %rax
    movl %eax, W_CODE+0x601
    call *%rbx
    CHECK_EQ(%rax, 0x04030201, by mov)
    ret
