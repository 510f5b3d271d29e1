// SPDX-License-Identifier: MIT
//
// MMX: saturation, comparison, shifts beyond the width, its registers as x87's mantissas, EMMS. SDM vol. 1 chapter 9.
#include "cpu_test.h"

.macro mmx line, insn, a, b, want
    movabsq $\a, %rax
    movq %rax, %mm0
    movabsq $\b, %rax
    movq %rax, %mm1
    set_flags ARITH
    \insn
    check_flags \line, ARITH, ARITH, "\insn, flags"
    check_mm \line, 0, \want, "\insn"
.endm
#define MMX(insn, a, b, want) mmx __LINE__, insn, a, b, want

cpu_topic_main:
    fninit
    MMX("paddsb %mm1, %mm0", 0x7f80017f80ff0000, 0x0180ff7f80ff7f80, 0x7f80007f80fe7f80)
    MMX("paddusb %mm1, %mm0", 0xff80017f80ff0000, 0x0180ff7f80010000, 0xfffffffeffff0000)
    MMX("psubsw %mm1, %mm0", 0x80007fff00008000, 0x0001ffff80008000, 0x80007fff7fff0000)
    MMX("psubusb %mm1, %mm0", 0x00ff10008001ff7f, 0x01000f0181027f80, 0x00ff010000008000)
    MMX("paddw %mm1, %mm0", 0xffff80007fff0001, 0x000180000001ffff, 0x0000000080000000)
    MMX("packsswb %mm1, %mm0", 0x7fff8000007fff80, 0x0080ff7f00000001, 0x7f8000017f807f80)
    MMX("packuswb %mm1, %mm0", 0x7fff800000ffff00, 0x0100ffff00000001, 0xff000001ff00ff00)
    MMX("packssdw %mm1, %mm0", 0x7fffffff80000000, 0x00007fffffff8000, 0x7fff80007fff8000)
    MMX("pcmpgtb %mm1, %mm0", 0x7f80ff0001000000, 0x807f00ff0100ff01, 0xff0000ff0000ff00)
    MMX("pcmpeqw %mm1, %mm0", 0x1234ffff00008000, 0x1234fffe00007fff, 0xffff0000ffff0000)
    MMX("pmaddwd %mm1, %mm0", 0x8000800000018000, 0x800080000002ffff, 0x8000000000008002)
    MMX("pmulhw %mm1, %mm0", 0x8000800000018000, 0x80007fffffff0001, 0x4000c000ffffffff)
    MMX("psllw $16, %mm0", 0xffffffffffffffff, 0, 0)
    MMX("psraw $200, %mm0", 0x80007fff8000ffff, 0, 0xffff0000ffffffff)
    MMX("psrlq %mm1, %mm0", 0x8000000000000001, 63, 1)
    MMX("psrlq %mm1, %mm0", 0x8000000000000001, 0x100000000, 0) // the count has 64 bits
    MMX("psrad %mm1, %mm0", 0x800000007fffffff, 32, 0xffffffff00000000)
    MMX("pandn %mm1, %mm0", 0xff00ff00ff00ff00, 0xffffffff00000000, 0x00ff00ff00000000)
    MMX("punpcklbw %mm1, %mm0", 0x7766554433221100, 0xffeeddccbbaa9988, 0xbb33aa2299118800)
    MMX("punpckhwd %mm1, %mm0", 0x7766554433221100, 0xffeeddccbbaa9988, 0xffee7766ddcc5544)
    MMX("psadbw %mm1, %mm0", 0x00ff00ff00ff00ff, 0xff00ff00ff00ff00, 0x7f8)
    MMX("pavgb %mm1, %mm0", 0x00000000000001ff, 0x00000000000002fe, 0x2ff)
    MMX("pshufw $0x1b, %mm1, %mm0", 0, 0x4444333322221111, 0x1111222233334444)
    MMX("pminsw %mm1, %mm0", 0x80007fff0000ffff, 0x7fff8000ffff0000, 0x80008000ffffffff)
    // In the x87 registers: exponent all ones, every tag valid, TOP 0.
    fninit
    fld1
    SET_MM(3, 0x123456789abcdef0)
    fnstsw %ax
    andl $0x3800, %eax
    CHECK_EQ(%rax, 0, mmx sets TOP to 0)
    CHECK_ST(3, 0xffff, 0x123456789abcdef0, mm3 as st(3))
    fnstenv cpu_operand
    movzwl cpu_operand+8, %eax
    SET_MM(1, 5)
    emms
    fnstenv cpu_operand
    movzwl cpu_operand+8, %eax
    CHECK_EQ(%rax, 0xffff, emms empties all)
    SET_MM(1, 5)
    fnstenv cpu_operand
    movzwl cpu_operand+8, %eax
    movl %eax, %edx
    shrl $2, %edx
    andl $3, %edx
    CHECK_EQ(%rdx, 2, the tag of an mmx value is special)
    emms
    // MMX waits for pending x87 exceptions.
    fninit
    movw $0x37b, cpu_operand
    fldcw cpu_operand
    fld1
    fldz
    .byte 0xd8, 0xf9
    FAULT(16, "movq %mm0, %mm1")
    fnclex
    fninit
    PAGE_FAULT(W_END, PF_USER, "paddb W_END-4, %mm0")
    emms
    // MASKMOVQ touches only what it writes.
    SET_MM(0, 0x1122334455667788)
    SET_MM(1, 0x8000000000008000)
    SET_MEM(W_RW, 0)
    movl $W_RW, %edi
    maskmovq %mm1, %mm0
    CHECK_EQ(W_RW, 0x1100000000007700, maskmovq)
    emms
    ret
