// SPDX-License-Identifier: MIT
//
// BT, BTS, BTR, BTC (memory bit offsets of any sign), BSF, BSR, LZCNT, TZCNT, POPCNT, BMI1, BMI2, ADX, MOVBE, CRC32. SDM vol. 2.
#include "cpu_test.h"

// A word in the middle of 64 bytes of memory, bit strings around it.
.macro bit_mem line, insn, offset, at, before, after, cf
    call clear_operand
    movabsq $\before, %rax
    movq %rax, cpu_operand+64+\at(%rip)
    movabsq $\offset, %rcx
    leaq cpu_operand+64(%rip), %rbx
    set_flags \cf^1
    \insn
    check_flags \line, \cf, CF, "\insn offset \offset"
    check_eq \line, cpu_operand+64+\at(%rip), \after, "\insn offset \offset, memory"
.endm
#define BIT_MEM(insn, offset, at, before, after, cf) bit_mem __LINE__, insn, offset, at, before, after, cf

clear_operand:
    leaq cpu_operand(%rip), %rdi
    xorl %eax, %eax
    movl $32, %ecx
    rep stosq
    ret

cpu_topic_main:
    // --- registers: the offset is taken modulo the width ---
    OP("btw %cx, %ax", 0x8000, 0, 0x1f, 0, 0x8000, CF, CF)
    OP("btl %ecx, %eax", 0x80000000, 0, 0xffffffff, 0, 0x80000000, CF, CF)
    OP("btq %rcx, %rax", 0x8000000000000000, 0, 127, 0, 0x8000000000000000, CF, CF)
    OP("btq %rcx, %rax", 0x8000000000000000, 0, 62, CF, 0x8000000000000000, 0, CF)
    OP("btsw %cx, %ax", 0x1122334455660000, 0, 0x10, CF, 0x1122334455660001, 0, CF)
    OP("btsl %ecx, %eax", 0x1122334400000000, 0, 31, CF, 0x80000000, 0, CF)
    OP("btrl %ecx, %eax", 0x11223344ffffffff, 0, 32, 0, 0xfffffffe, CF, CF)
    OP("btcq %rcx, %rax", 0, 0, 0xffffffffffffffff, CF, 0x8000000000000000, 0, CF)
    OP("btcq %rcx, %rax", 0x8000000000000000, 0, 0xffffffffffffffff, 0, 0, CF, CF)
    OP("btl $33, %eax", 2, 0, 0, 0, 2, CF, CF)
    OP("btsq $127, %rax", 0, 0, 0, CF, 0x8000000000000000, 0, CF)
    OP("btl %ecx, %eax", 1, 0, 0, ZF, 1, CF|ZF, CF|ZF) // ZF stays
    OP("btl %ecx, %eax", 1, 0, 0, 0, 1, CF, CF|ZF)

    // --- memory, register offset: a bit string that reaches 2^63 bits either way ---
    BIT_MEM("btl %ecx, (%rbx)", 0, 0, 1, 1, 1)
    BIT_MEM("btl %ecx, (%rbx)", 33, 0, 0x200000000, 0x200000000, 1)
    BIT_MEM("btsl %ecx, (%rbx)", 64, 8, 0, 1, 0)
    BIT_MEM("btsl %ecx, (%rbx)", 0xffffffff, -8, 0, 0x8000000000000000, 0)
    BIT_MEM("btsl %ecx, (%rbx)", 0x11223344ffffffe0, -8, 0, 0x100000000, 0)  // the offset is ECX, signed
    BIT_MEM("btrw %cx, (%rbx)", 0xffff, -8, 0x8000000000000000, 0, 1)
    BIT_MEM("btcw %cx, (%rbx)", 17, 0, 0, 0x20000, 0)
    BIT_MEM("btcq %rcx, (%rbx)", 64, 8, 1, 0, 1)
    BIT_MEM("btsq %rcx, (%rbx)", -65, -16, 0, 0x8000000000000000, 0)
    BIT_MEM("btrq %rcx, (%rbx)", -512, -64, 1, 0, 1)
    BIT_MEM("lock btsl %ecx, (%rbx)", -33, -8, 0, 0x80000000, 0)
    BIT_MEM("lock btcq %rcx, (%rbx)", 130, 16, 0, 4, 0)
    BIT_MEM("btl $31, (%rbx)", 0, 0, 0x80000000, 0x80000000, 1)
    BIT_MEM("btsl $33, (%rbx)", 0, 0, 0, 2, 0) // an immediate does not reach beyond the operand
    BIT_MEM("btcq $64, (%rbx)", 0, 0, 0, 1, 0)
    BIT_MEM("btrw $15, (%rbx)", 0, 0, 0x18000, 0x10000, 1)
    // The operand that is touched is the whole word with the bit: in the page that is not there.
    SET(%rcx, 32)
    SET(%rbx, W_END-4)
    PAGE_FAULT(W_END, PF_WRITE|PF_USER, "btsl %ecx, (%rbx)")
    SET(%rcx, -1)
    SET(%rbx, W_AFTER_RO)
    PAGE_FAULT(W_RO+0xffc, PF_WRITE|PF_USER|PF_PRESENT, "btsl %ecx, (%rbx)")
    btl %ecx, (%rbx)
    CHECK_FLAGS(CF, CF, btl below the base)

    // --- BSF, BSR: ZF; of zero the destination stays as it is (the AMD way, and what all CPUs do) ---
    OP("bsfl %edx, %eax", 0, 0x80000000, 0, ZF, 31, 0, ZF)
    OP("bsfq %rdx, %rax", 0, 0x8000000000000000, 0, ZF, 63, 0, ZF)
    OP("bsfw %dx, %ax", 0x1122334455667788, 0x8000, 0, 0, 0x112233445566000f, 0, ZF)
    OP("bsrl %edx, %eax", 0, 0x80000001, 0, 0, 31, 0, ZF)
    OP("bsrq %rdx, %rax", 0, 1, 0, ZF, 0, 0, ZF)
    OP("bsrw %dx, %ax", 0x1122334455667788, 0x10001, 0, 0, 0x1122334455660000, 0, ZF)
    OP("bsfq %rdx, %rax", 0x1122334455667788, 0, 0, 0, 0x1122334455667788, ZF, ZF)
    OP("bsrq %rdx, %rax", 0x1122334455667788, 0, 0, 0, 0x1122334455667788, ZF, ZF)
    OP("bsrw %dx, %ax", 0x1122334455667788, 0xffff0000, 0, 0, 0x1122334455667788, ZF, ZF)

    // --- XADD, CMPXCHG are in atomic.S; here what counts bits ---
    NEED_POPCNT(1f)
    OP("popcntq %rdx, %rax", 0, 0xffffffffffffffff, 0, ARITH, 64, 0, ARITH)
    OP("popcntq %rdx, %rax", 5, 0, 0, ARITH, 0, ZF, ARITH)
    OP("popcntl %edx, %eax", 0xffffffffffffffff, 0xffffffff80000001, 0, 0, 2, 0, ARITH)
    OP("popcntw %dx, %ax", 0x1122334455667788, 0xffffffff, 0, 0, 0x1122334455660010, 0, ARITH)
1:  NEED_LZCNT(1f)
    OP("lzcntq %rdx, %rax", 0, 0, 0, 0, 64, CF, CF|ZF)
    OP("lzcntl %edx, %eax", 0, 0, 0, ZF, 32, CF, CF|ZF)
    OP("lzcntw %dx, %ax", 0x1122334455667788, 0xffff0000, 0, 0, 0x1122334455660010, CF, CF|ZF)
    OP("lzcntl %edx, %eax", 0, 0x80000000, 0, CF, 0, ZF, CF|ZF)
    OP("lzcntq %rdx, %rax", 0, 1, 0, CF|ZF, 63, 0, CF|ZF)
1:  NEED_BMI1(1f)
    OP("tzcntq %rdx, %rax", 0, 0, 0, 0, 64, CF, CF|ZF)
    OP("tzcntl %edx, %eax", 0xffffffffffffffff, 0, 0, 0, 32, CF, CF|ZF)
    OP("tzcntw %dx, %ax", 0x1122334455667788, 0x10000, 0, 0, 0x1122334455660010, CF, CF|ZF)
    OP("tzcntl %edx, %eax", 0, 1, 0, CF, 0, ZF, CF|ZF)
    OP("tzcntq %rdx, %rax", 0, 0x8000000000000000, 0, CF|ZF, 63, 0, CF|ZF)
    OP("andnq %rcx, %rdx, %rax", 0, 0xff00ff00ff00ff00, 0xffffffffffffffff, CF|OF, 0x00ff00ff00ff00ff, 0, CF|OF|ZF|SF)
    OP("andnl %ecx, %edx, %eax", 0xffffffffffffffff, 0, 0x80000000, CF|OF, 0x80000000, SF, CF|OF|ZF|SF)
    OP("andnl %ecx, %edx, %eax", 5, 0xffffffff, 0xffffffffffffffff, CF|OF|SF, 0, ZF, CF|OF|ZF|SF)
    OP("bextrl %ecx, %edx, %eax", 5, 0x12345678, 0x0804, CF|OF, 0x67, 0, CF|OF|ZF)
    OP("bextrl %ecx, %edx, %eax", 5, 0xffffffff, 0xff00, CF|OF, 0xffffffff, 0, CF|OF|ZF)
    OP("bextrl %ecx, %edx, %eax", 5, 0xffffffff, 0x0120, 0, 0, ZF, CF|OF|ZF) // starts beyond the operand
    OP("bextrq %rcx, %rdx, %rax", 5, 0x8000000000000000, 0x013f, 0, 1, 0, CF|OF|ZF)
    OP("bextrq %rcx, %rdx, %rax", 5, 0xffffffffffffffff, 0x0000, 0, 0, ZF, CF|OF|ZF) // length 0
    OP("blsil %edx, %eax", 5, 0, 0, CF, 0, ZF, CF|OF|ZF|SF)
    OP("blsil %edx, %eax", 5, 0x80000000, 0, OF, 0x80000000, CF|SF, CF|OF|ZF|SF)
    OP("blsiq %rdx, %rax", 5, 0xfffffffffffffff0, 0, 0, 0x10, CF, CF|OF|ZF|SF)
    OP("blsmskl %edx, %eax", 5, 0, 0, 0, 0xffffffff, CF|SF, CF|OF|ZF|SF)
    OP("blsmskq %rdx, %rax", 5, 0x10, 0, CF, 0x1f, 0, CF|OF|ZF|SF)
    OP("blsrl %edx, %eax", 5, 0, 0, 0, 0, CF|ZF, CF|OF|ZF|SF)
    OP("blsrq %rdx, %rax", 5, 0x8000000000000000, 0, CF, 0, ZF, CF|OF|ZF|SF)
    OP("blsrl %edx, %eax", 0xffffffffffffffff, 0xc0000000, 0, 0, 0x80000000, SF, CF|OF|ZF|SF)
1:  NEED_BMI2(1f)
    OP("bzhil %ecx, %edx, %eax", 5, 0xffffffff, 4, CF|OF, 0xf, 0, CF|OF|ZF|SF)
    OP("bzhil %ecx, %edx, %eax", 5, 0xffffffff, 32, 0, 0xffffffff, CF|SF, CF|OF|ZF|SF)
    OP("bzhil %ecx, %edx, %eax", 5, 0xffffffff, 0x100, CF, 0, ZF, CF|OF|ZF|SF) // only bits 7:0 of the index
    OP("bzhiq %rcx, %rdx, %rax", 5, 0xffffffffffffffff, 63, 0, 0x7fffffffffffffff, 0, CF|OF|ZF|SF)
    OP("bzhiq %rcx, %rdx, %rax", 5, 0xffffffffffffffff, 64, 0, 0xffffffffffffffff, CF|SF, CF|OF|ZF|SF)
    OP("pdepl %ecx, %edx, %eax", 5, 0xff, 0xf0f0f0f0, ARITH, 0x0000f0f0, ARITH, ARITH)
    OP("pdepq %rcx, %rdx, %rax", 5, 0xffffffffffffffff, 0x8000000000000001, 0, 0x8000000000000001, 0, ARITH)
    OP("pdepq %rcx, %rdx, %rax", 5, 2, 0x8000000000000001, 0, 0x8000000000000000, 0, ARITH)
    OP("pextl %ecx, %edx, %eax", 5, 0x12345678, 0xf0f0f0f0, ARITH, 0x1357, ARITH, ARITH)
    OP("pextq %rcx, %rdx, %rax", 5, 0x8000000000000000, 0x8000000000000001, 0, 2, 0, ARITH)
    OP("pextq %rcx, %rdx, %rax", 5, 0xffffffffffffffff, 0, 0, 0, 0, ARITH)
1:  NEED_ADX(1f)
    OP("adcxq %rdx, %rax", 0xffffffffffffffff, 0, 0, CF, 0, CF, ARITH)
    OP("adcxl %edx, %eax", 0x11223344ffffffff, 1, 0, OF|ZF|SF, 0, CF|OF|ZF|SF, ARITH) // ZF is not the result's
    OP("adcxq %rdx, %rax", 1, 1, 0, ARITH, 3, ARITH&~CF, ARITH)
    OP("adoxq %rdx, %rax", 0xffffffffffffffff, 0, 0, OF, 0, OF, ARITH)
    OP("adoxl %edx, %eax", 0x11223344ffffffff, 0xffffffff, 0, OF|CF, 0xffffffff, OF|CF, ARITH)
    OP("adoxq %rdx, %rax", 1, 1, 0, ARITH, 3, ARITH&~OF, ARITH)
    OP("adcxq %rdx, %rax; adoxq %rdx, %rax", 0xffffffffffffffff, 1, 0, OF, 2, CF, ARITH) // two chains
1:  NEED_MOVBE(1f)
    SET_MEM(cpu_operand(%rip), 0x1122334455667788)
    OP("movbew cpu_operand(%rip), %ax", 0x99aabbccddeeff00, 0, 0, ARITH, 0x99aabbccddee8877, ARITH, ARITH)
    OP("movbel cpu_operand(%rip), %eax", 0x99aabbccddeeff00, 0, 0, 0, 0x88776655, 0, ARITH)
    OP("movbeq cpu_operand(%rip), %rax", 0x99aabbccddeeff00, 0, 0, 0, 0x8877665544332211, 0, ARITH)
    movbew %ax, cpu_operand(%rip)
    CHECK_EQ(cpu_operand(%rip), 0x1122334455661122, movbew store)
    movbeq %rax, cpu_operand(%rip)
    CHECK_EQ(cpu_operand(%rip), 0x1122334455667788, movbeq store)
1:  NEED_SSE42(1f)
    // CRC-32C of "123456789" is E3069283.
    SET(%rax, 0xffffffffffffffff)
    movl $0xffffffff, %eax
    SET_MEM(cpu_operand(%rip), 0x3837363534333231)
    SET_FLAGS(ARITH)
    crc32q cpu_operand(%rip), %rax
    movl $0x39, %edx
    crc32b %dl, %eax
    CHECK_FLAGS(ARITH, ARITH, crc32)
    notl %eax
    CHECK_EQ(%rax, 0xe3069283, crc32 of 123456789 by q and b)
    movl $0xffffffff, %eax
    crc32l cpu_operand(%rip), %eax
    crc32w cpu_operand+4(%rip), %eax
    crc32b cpu_operand+6(%rip), %eax
    movb $0x38, %dh
    crc32b %dh, %eax
    crc32b %dl, %rax
    notl %eax
    CHECK_EQ(%rax, 0xe3069283, crc32 of 123456789 by l w b and dh)
    SET(%rax, 0xaaaaaaaa00000000)
    xorl %edx, %edx
    crc32b %dl, %rax
    CHECK_EQ(%rax, 0, crc32 zeroes the upper half)
1:  ret
