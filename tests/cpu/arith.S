// SPDX-License-Identifier: MIT
//
// ADD, ADC, SUB, SBB, CMP, AND, OR, XOR, TEST, INC, DEC, NEG, NOT in all sizes, at the edges of carry, overflow and sign; partial
// register writes and zero extension; immediates; conversions; LAHF, SAHF and CF by hand. SDM vol. 1 section 7.3, vol. 2.
#include "cpu_test.h"

cpu_topic_main:
    // --- ADD ---
    ALU(add, b, 0x7f, 1, CF, 0x80, SF|OF|AF)
    ALU(add, b, 0xff, 1, 0, 0, CF|ZF|AF|PF)
    ALU(add, b, 0x80, 0x80, 0, 0, CF|OF|ZF|PF)
    ALU(add, b, 0, 0, ARITH, 0, ZF|PF)
    ALU(add, b, 0x0f, 1, 0, 0x10, AF)
    ALU(add, b, 0x80, 0xff, 0, 0x7f, CF|OF)
    ALU(add, w, 0x7fff, 1, 0, 0x8000, SF|OF|AF|PF)
    ALU(add, w, 0xffff, 1, 0, 0, CF|ZF|AF|PF)
    ALU(add, w, 0x8000, 0xffff, 0, 0x7fff, CF|OF|PF)
    ALU(add, w, 0x00ff, 1, 0, 0x100, AF|PF)
    ALU(add, l, 0x7fffffff, 1, 0, 0x80000000, SF|OF|AF|PF)
    ALU(add, l, 0xffffffff, 1, 0, 0, CF|ZF|AF|PF)
    ALU(add, l, 0x80000000, 0x80000000, 0, 0, CF|OF|ZF|PF)
    ALU(add, q, 0x7fffffffffffffff, 1, 0, 0x8000000000000000, SF|OF|AF|PF)
    ALU(add, q, 0xffffffffffffffff, 1, 0, 0, CF|ZF|AF|PF)
    ALU(add, q, 0xffffffff, 1, 0, 0x100000000, AF|PF)
    ALU(add, q, 0x8000000000000000, 0xffffffffffffffff, 0, 0x7fffffffffffffff, CF|OF|PF)

    // --- ADC: the carry in alone makes the carry out, the overflow, or the half carry ---
    ALU(adc, b, 0xff, 0, CF, 0, CF|ZF|AF|PF)
    ALU(adc, b, 0xff, 0xff, CF, 0xff, CF|SF|AF|PF)
    ALU(adc, b, 0x7f, 0, CF, 0x80, SF|OF|AF)
    ALU(adc, b, 0x0f, 0, CF, 0x10, AF)
    ALU(adc, b, 0x7f, 0x80, CF, 0, CF|ZF|AF|PF)
    ALU(adc, b, 0x7f, 0, ZF|SF|OF, 0x7f, 0)
    ALU(adc, w, 0xffff, 0xffff, CF, 0xffff, CF|SF|AF|PF)
    ALU(adc, w, 0x7fff, 0, CF, 0x8000, SF|OF|AF|PF)
    ALU(adc, l, 0xffffffff, 0, CF, 0, CF|ZF|AF|PF)
    ALU(adc, l, 0xffffffff, 0xffffffff, CF, 0xffffffff, CF|SF|AF|PF)
    ALU(adc, l, 0x7fffffff, 0, CF, 0x80000000, SF|OF|AF|PF)
    ALU(adc, q, 0xffffffffffffffff, 0, CF, 0, CF|ZF|AF|PF)
    ALU(adc, q, 0xffffffffffffffff, 0xffffffffffffffff, CF, 0xffffffffffffffff, CF|SF|AF|PF)
    ALU(adc, q, 0x7fffffffffffffff, 0x8000000000000000, CF, 0, CF|ZF|AF|PF)
    ALU(adc, q, 1, 2, 0, 3, PF)

    // --- SUB, CMP ---
    ALU(sub, b, 0, 1, 0, 0xff, CF|SF|AF|PF)
    ALU(sub, b, 0x80, 1, 0, 0x7f, OF|AF)
    ALU(sub, b, 0x80, 0x80, ARITH, 0, ZF|PF)
    ALU(sub, b, 0, 0x80, 0, 0x80, CF|OF|SF)
    ALU(sub, b, 0x10, 1, 0, 0x0f, AF|PF)
    ALU(sub, b, 0x7f, 0xff, 0, 0x80, CF|OF|SF)
    ALU(sub, w, 0, 1, 0, 0xffff, CF|SF|AF|PF)
    ALU(sub, w, 0x8000, 1, 0, 0x7fff, OF|AF|PF)
    ALU(sub, l, 0, 1, 0, 0xffffffff, CF|SF|AF|PF)
    ALU(sub, l, 0x80000000, 1, 0, 0x7fffffff, OF|AF|PF)
    ALU(sub, l, 0, 0x80000000, 0, 0x80000000, CF|OF|SF|PF)
    ALU(sub, q, 0, 1, 0, 0xffffffffffffffff, CF|SF|AF|PF)
    ALU(sub, q, 0x8000000000000000, 1, 0, 0x7fffffffffffffff, OF|AF|PF)
    ALU(sub, q, 0x100000000, 1, 0, 0xffffffff, AF|PF)
    CMP(b, 0x80, 0x7f, 0, OF|AF)
    CMP(b, 0x7f, 0x80, CF, CF|OF|SF|PF)
    CMP(w, 0x1234, 0x1234, ARITH, ZF|PF)
    CMP(l, 0, 0xffffffff, 0, CF|AF)
    CMP(l, 0x80000000, 0x7fffffff, 0, OF|AF)
    CMP(q, 0, 0x8000000000000000, 0, CF|OF|SF|PF)
    CMP(q, 0x7fffffffffffffff, 0xffffffffffffffff, 0, CF|OF|SF|PF)

    // --- SBB: borrow in ---
    ALU(sbb, b, 0, 0, CF, 0xff, CF|SF|AF|PF)
    ALU(sbb, b, 0, 0xff, CF, 0, CF|ZF|AF|PF)
    ALU(sbb, b, 0x80, 0x7f, CF, 0, OF|ZF|AF|PF)
    ALU(sbb, b, 0x80, 0, CF, 0x7f, OF|AF)
    ALU(sbb, b, 0x10, 0x10, CF, 0xff, CF|SF|AF|PF)
    ALU(sbb, b, 5, 3, 0, 2, 0)
    ALU(sbb, w, 0, 0xffff, CF, 0, CF|ZF|AF|PF)
    ALU(sbb, w, 0x8000, 0, CF, 0x7fff, OF|AF|PF)
    ALU(sbb, l, 0xffffffff, 0xffffffff, CF, 0xffffffff, CF|SF|AF|PF)
    ALU(sbb, l, 0, 0xffffffff, CF, 0, CF|ZF|AF|PF)
    ALU(sbb, q, 0, 0, CF, 0xffffffffffffffff, CF|SF|AF|PF)
    ALU(sbb, q, 0, 0xffffffffffffffff, CF, 0, CF|ZF|AF|PF)
    ALU(sbb, q, 0x8000000000000000, 0x7fffffffffffffff, CF, 0, OF|ZF|AF|PF)
    OP("sbbq %rax, %rax", 0x1234, 0, 0, CF, 0xffffffffffffffff, CF|SF|AF|PF, ARITH) // the idiom
    OP("sbbl %eax, %eax", 0xffffffff00001234, 0, 0, 0, 0, ZF|PF, ARITH)

    // --- logic: CF and OF go ---
    LOGIC(and, b, 0xf0, 0x0f, CF|OF, 0, ZF|PF)
    LOGIC(and, b, 0xff, 0x81, CF|OF, 0x81, SF|PF)
    LOGIC(and, w, 0xff00, 0x8100, CF|OF|ZF, 0x8100, SF|PF) // the parity of the low byte alone
    LOGIC(and, l, 0xffffffff, 0x80000001, CF|OF, 0x80000001, SF)
    LOGIC(and, q, 0xffffffffffffffff, 0x8000000000000001, CF|OF, 0x8000000000000001, SF)
    LOGIC(or, b, 0, 0, CF|OF, 0, ZF|PF)
    LOGIC(or, w, 0x8000, 0x0100, CF|OF, 0x8100, SF|PF)
    LOGIC(or, l, 0x80000000, 1, CF|OF, 0x80000001, SF)
    LOGIC(or, q, 0x80000000, 0x100000000, CF|OF, 0x180000000, PF)
    LOGIC(xor, b, 0xaa, 0xaa, CF|OF, 0, ZF|PF)
    LOGIC(xor, b, 0xaa, 0x55, CF|OF, 0xff, SF|PF)
    LOGIC(xor, w, 0xffff, 0x7fff, CF|OF|ZF, 0x8000, SF|PF)
    LOGIC(xor, l, 0xffffffff, 0x7ffffffe, CF|OF, 0x80000001, SF)
    LOGIC(xor, q, 0xffffffffffffffff, 0x7ffffffffffffffe, CF|OF, 0x8000000000000001, SF)
    OP("xorl %eax, %eax", 0xffffffffffffffff, 0, 0, CF|OF|SF, 0, ZF|PF, NOAF)
    OP("testb %dl, %al", 0x80, 0x80, 0, CF|OF, 0x80, SF, NOAF)
    OP("testb $0x7f, %al", 0xff80, 0, 0, CF|OF|SF, 0xff80, ZF|PF, NOAF)
    OP("testw $0x8000, %ax", 0x8000, 0, 0, CF|OF, 0x8000, SF|PF, NOAF)
    OP("testl $0x80000000, %eax", 0xffffffff80000000, 0, 0, CF|OF, 0xffffffff80000000, SF|PF, NOAF) // no zero extension
    OP("testq $-0x80000000, %rax", 0x8000000000000000, 0, 0, CF|OF, 0x8000000000000000, SF|PF, NOAF) // sign-extended mask

    // --- INC, DEC keep CF; NEG; NOT keeps all ---
    UNARY(inc, b, 0xff, 0, 0, ZF|AF|PF)
    UNARY(inc, b, 0x7f, CF, 0x80, CF|SF|OF|AF)
    UNARY(inc, w, 0xffff, CF, 0, CF|ZF|AF|PF)
    UNARY(inc, w, 0x7fff, 0, 0x8000, SF|OF|AF|PF)
    UNARY(inc, l, 0xffffffff, 0, 0, ZF|AF|PF)
    UNARY(inc, l, 0x7fffffff, CF, 0x80000000, CF|SF|OF|AF|PF)
    UNARY(inc, q, 0xffffffffffffffff, CF, 0, CF|ZF|AF|PF)
    UNARY(inc, q, 0xffffffff, 0, 0x100000000, AF|PF)
    UNARY(dec, b, 0, 0, 0xff, SF|AF|PF)
    UNARY(dec, b, 0x80, CF, 0x7f, CF|OF|AF)
    UNARY(dec, b, 1, CF, 0, CF|ZF|PF)
    UNARY(dec, w, 0, CF, 0xffff, CF|SF|AF|PF)
    UNARY(dec, l, 0x80000000, 0, 0x7fffffff, OF|AF|PF)
    UNARY(dec, l, 0, CF, 0xffffffff, CF|SF|AF|PF)
    UNARY(dec, q, 0, 0, 0xffffffffffffffff, SF|AF|PF)
    UNARY(dec, q, 0x8000000000000000, CF, 0x7fffffffffffffff, CF|OF|AF|PF)
    UNARY(neg, b, 0, CF, 0, ZF|PF)
    UNARY(neg, b, 0x80, 0, 0x80, CF|OF|SF)
    UNARY(neg, b, 1, 0, 0xff, CF|SF|AF|PF)
    UNARY(neg, b, 0x10, 0, 0xf0, CF|SF|PF)
    UNARY(neg, w, 0x8000, 0, 0x8000, CF|OF|SF|PF)
    UNARY(neg, w, 0x7fff, 0, 0x8001, CF|SF|AF)
    UNARY(neg, l, 0x80000000, 0, 0x80000000, CF|OF|SF|PF)
    UNARY(neg, l, 0, CF|SF, 0, ZF|PF)
    UNARY(neg, q, 0x8000000000000000, 0, 0x8000000000000000, CF|OF|SF|PF)
    UNARY(neg, q, 1, 0, 0xffffffffffffffff, CF|SF|AF|PF)
    UNARY(not, b, 0x55, ARITH, 0xaa, ARITH)
    UNARY(not, w, 0xffff, 0, 0, 0)
    UNARY(not, l, 0, ARITH, 0xffffffff, ARITH)
    UNARY(not, q, 0, 0, 0xffffffffffffffff, 0)

    // --- immediates: imm8 and imm32 are sign-extended ---
    OP("addb $0x80, %al", 0x80, 0, 0, 0, 0, CF|OF|ZF|PF, ARITH)
    OP("addw $-1, %ax", 0x1122334455660000, 0, 0, 0, 0x112233445566ffff, SF|PF, ARITH)
    OP("addl $-128, %eax", 0x1122334400000000, 0, 0, 0, 0xffffff80, SF, ARITH)
    OP("addq $-1, %rax", 0, 0, 0, 0, 0xffffffffffffffff, SF|PF, ARITH)
    OP("addq $-0x80000000, %rax", 0, 0, 0, 0, 0xffffffff80000000, SF|PF, ARITH)
    OP("subq $-0x80000000, %rax", 0, 0, 0, 0, 0x80000000, CF|PF, ARITH)
    OP("cmpq $-1, %rax", 0xffffffff, 0, 0, 0, 0xffffffff, CF|PF, ARITH)
    OP("andq $-128, %rax", 0x1234567887654321, 0, 0, CF|OF, 0x1234567887654300, PF, NOAF)
    OP("andl $-1, %eax", 0xffffffff00000000, 0, 0, CF, 0, ZF|PF, NOAF)
    OP("orq $-0x80000000, %rax", 1, 0, 0, 0, 0xffffffff80000001, SF, NOAF)
    OP("xorq $-1, %rax", 0, 0, 0, CF, 0xffffffffffffffff, SF|PF, NOAF)
    OP("adcq $-1, %rax", 0, 0, 0, CF, 0, CF|ZF|AF|PF, ARITH)
    OP("sbbq $-1, %rax", 0xffffffffffffffff, 0, 0, CF, 0xffffffffffffffff, CF|SF|AF|PF, ARITH)

    // --- byte registers: AH..DH without REX, SPL..DIL with ---
    OP("addb %ah, %al", 0x11223344556680ff, 0, 0, 0, 0x112233445566807f, CF|OF, ARITH)
    OP("addb %al, %ah", 0x11223344556680ff, 0, 0, 0, 0x1122334455667fff, CF|OF, ARITH)
    OP("movb %dh, %ah", 0x1111111111111111, 0xabcd, 0, 0, 0x111111111111ab11, 0, ARITH)
    OP("movb %ch, %al", 0x1111111111111111, 0, 0x4321, 0, 0x1111111111111143, 0, ARITH)
    SET(%rsi, 0x8877665544332211)
    SET(%rdi, 0x00ff00ff00ff0080)
    SET_FLAGS(0)
    addb %dil, %sil
    CHECK_FLAGS(SF, ARITH, addb %dil, %sil)
    CHECK_EQ(%rsi, 0x8877665544332291, addb %dil, %sil)
    SET(%r8, 0xffffffffffffffff)
    incb %r8b
    CHECK_EQ(%r8, 0xffffffffffffff00, incb %r8b)
    incl %r8d
    CHECK_EQ(%r8, 0xffffff01, incl %r8d)
    SET(%r15, 0xffffffffffffffff)
    movw $0x8000, %r15w
    CHECK_EQ(%r15, 0xffffffffffff8000, movw imm, %r15w)
    movl $0x80000000, %r15d
    CHECK_EQ(%r15, 0x80000000, movl imm, %r15d)
    movq $-0x80000000, %r15
    CHECK_EQ(%r15, 0xffffffff80000000, movq imm32, %r15)

    // --- conversions ---
    OP("cbtw", 0x1122334455667780, 0, 0, 0, 0x112233445566ff80, 0, ARITH)
    OP("cbtw", 0x112233445566ff7f, 0, 0, ARITH, 0x112233445566007f, ARITH, ARITH)
    OP("cwtl", 0x1122334455668000, 0, 0, 0, 0xffff8000, 0, ARITH)
    OP("cltq", 0x1122334480000000, 0, 0, 0, 0xffffffff80000000, 0, ARITH)
    OP("cltq", 0xffffffff7fffffff, 0, 0, 0, 0x7fffffff, 0, ARITH)
    OP("cwtd; movq %rdx, %rax", 0x8000, 0x1122334455667788, 0, 0, 0x112233445566ffff, 0, ARITH)
    OP("cltd; movq %rdx, %rax", 0x80000000, 0x1122334455667788, 0, 0, 0xffffffff, 0, ARITH)
    OP("cltd; movq %rdx, %rax", 0xffffffff7fffffff, 0x1122334455667788, 0, 0, 0, 0, ARITH)
    OP("cqto; movq %rdx, %rax", 0x8000000000000000, 1, 0, 0, 0xffffffffffffffff, 0, ARITH)
    OP("movsbw %dl, %ax", 0x1122334455667788, 0x80, 0, 0, 0x112233445566ff80, 0, ARITH)
    OP("movsbl %dl, %eax", 0x1122334455667788, 0x80, 0, 0, 0xffffff80, 0, ARITH)
    OP("movswl %dx, %eax", 0x1122334455667788, 0x8000, 0, 0, 0xffff8000, 0, ARITH)
    OP("movslq %edx, %rax", 0, 0x80000000, 0, 0, 0xffffffff80000000, 0, ARITH)
    OP("movzbw %dl, %ax", 0x1122334455667788, 0xff80, 0, 0, 0x1122334455660080, 0, ARITH)
    OP("movzbl %dh, %eax", 0x1122334455667788, 0xfe80, 0, 0, 0xfe, 0, ARITH)
    OP("movzwq %dx, %rax", 0x1122334455667788, 0xffff8000, 0, 0, 0x8000, 0, ARITH)
    OP(".byte 0x63, 0xc2", 0x1122334455667788, 0x80000000, 0, 0, 0x80000000, 0, ARITH) // MOVSXD without REX.W: a plain 32-bit move
    OP("bswapl %eax", 0x1122334455667788, 0, 0, ARITH, 0x88776655, ARITH, ARITH)
    OP("bswapq %rax", 0x1122334455667788, 0, 0, 0, 0x8877665544332211, 0, ARITH)
    OP("xchgl %eax, %edx", 0x1122334455667788, 0x99aabbccddeeff00, 0, 0, 0xddeeff00, 0, ARITH)
    OP("xchgl %eax, %edx; movq %rdx, %rax", 0x1122334455667788, 0x99aabbccddeeff00, 0, 0, 0x55667788, 0, ARITH)
    OP("xchgb %al, %ah", 0x1122334455667788, 0, 0, 0, 0x1122334455668877, 0, ARITH)
    OP(".byte 0x90", 0x1122334455667788, 0, 0, 0, 0x1122334455667788, 0, ARITH) // NOP is no XCHG EAX, EAX
    OP(".byte 0x87, 0xc0", 0x1122334455667788, 0, 0, 0, 0x55667788, 0, ARITH)   // this one is

    // --- flags by hand ---
    OP("lahf", 0, 0, 0, ARITH, 0xd700, ARITH, ARITH)
    OP("lahf", 0xffff, 0, 0, 0, 0x02ff, 0, ARITH)
    OP("sahf", 0xff00, 0, 0, 0, 0xff00, CF|PF|AF|ZF|SF, ARITH)
    OP("sahf", 0, 0, 0, ARITH, 0, OF, ARITH) // OF is not in AH
    OP("cmc", 0, 0, 0, CF|OF|ZF, 0, OF|ZF, ARITH)
    OP("cmc", 0, 0, 0, OF|ZF, 0, CF|OF|ZF, ARITH)
    OP("stc", 0, 0, 0, OF, 0, CF|OF, ARITH)
    OP("clc", 0, 0, 0, ARITH, 0, ARITH&~CF, ARITH)
    OP("addb %dl, %al; incl %eax", 0xff, 1, 0, 0, 1, CF, ARITH) // a chain: INC keeps the CF of ADD
    OP("subl %edx, %eax; cmc; decl %eax", 0, 1, 0, 0, 0xfffffffe, SF, ARITH)
    OP("addb %dl, %al; stc; movb $0, %al", 0x7f, 1, 0, 0, 0, CF|SF|OF|AF, ARITH)
    OP("addb %dl, %al; notq %rax", 0x7f, 1, 0, 0, 0xffffffffffffff7f, SF|OF|AF, ARITH)
    OP("addb %dl, %al; lahf; sahf", 0x7f, 1, 0, 0, 0x9280, SF|OF|AF, ARITH)
    cld
    ret
