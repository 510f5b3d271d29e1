// SPDX-License-Identifier: MIT
//
// MOVS, STOS, LODS, CMPS, SCAS: direction, counts of 0, 32-bit addresses, overlap, flags, faults in the middle (the part that was done is
// done, the registers say where). SDM vol. 2 REP, vol. 1 section 7.3.9.
#include "cpu_test.h"

.set B, cpu_operand

// B[0..63] = 0x00..0x3f, and the registers for it.
fill:
    xorl %eax, %eax
1:  movb %al, B(%rax)
    incl %eax
    cmpl $128, %eax
    jne 1b
    cld
    movl $B, %esi
    movl $B+32, %edi
    ret

#define REGS(si, di, c, what)                                                                      \
    CHECK_EQ(%rsi, si, what, rsi);                                                                 \
    CHECK_EQ(%rdi, di, what, rdi);                                                                 \
    CHECK_EQ(%rcx, c, what, rcx)

cpu_topic_main:
    // --- one at a time, both ways ---
    call fill
    movl $5, %ecx
    SET_FLAGS(ARITH)
    movsb
    CHECK_FLAGS(ARITH, ARITH|DF, movsb)
    REGS(B+1, B+33, 5, movsb)
    movsw
    REGS(B+3, B+35, 5, movsw)
    movsl
    REGS(B+7, B+39, 5, movsl)
    movsq
    REGS(B+15, B+47, 5, movsq)
    CHECK_EQ(B+32, 0x0706050403020100, moved)
    CHECK_EQ(B+40, 0x2f0e0d0c0b0a0908, moved)
    call fill
    movl $5, %ecx
    std
    movsq
    REGS(B-8, B+24, 5, std movsq)
    movl $B+8, %esi
    movsw
    REGS(B+6, B+22, 5, std movsw)
    movl $B+8, %esi
    movsb
    REGS(B+7, B+21, 5, std movsb)
    cld
    CHECK_EQ(B+24, 0x1f1e1d1c1b1a0908, std movsw)
    CHECK_EQ(B+32, 0x0706050403020100, std movsq)

    // --- count 0: nothing happens, and nothing is touched ---
    call fill
    xorl %ecx, %ecx
    SET(%rsi, 0)
    SET(%rdi, W_END)
    rep movsb
    REGS(0, W_END, 0, rep movsb of 0)
    rep stosq
    REGS(0, W_END, 0, rep stosq of 0)
    SET_FLAGS(ZF)
    repe cmpsb
    CHECK_FLAGS(ZF, ARITH, repe cmpsb of 0)
    SET_FLAGS(CF|SF)
    repne scasb
    CHECK_FLAGS(CF|SF, ARITH, repne scasb of 0)
    SET(%rcx, 0xffffffff00000000)
    .byte 0x67 // the count is ECX
    rep movsb
    REGS(0, W_END, 0xffffffff00000000, addr32 rep movsb of 0)

    // --- REP MOVS, overlapping: element by element ---
    call fill
    movl $B+1, %edi
    movl $7, %ecx
    rep movsb
    CHECK_EQ(B, 0, a byte spread over the next)
    REGS(B+7, B+8, 0, rep movsb)
    call fill
    movl $B+4, %edi
    movl $4, %ecx
    rep movsl
    CHECK_EQ(B, 0x0302010003020100, a dword spread)
    CHECK_EQ(B+8, 0x0302010003020100, a dword spread)
    CHECK_EQ(B+16, 0x1716151403020100, a dword spread)
    call fill
    movl $B+2, %edi // closer than an element: each read sees the write before
    movl $3, %ecx
    rep movsl
    CHECK_EQ(B, 0x0302030201000100, dwords that overlap themselves)
    CHECK_EQ(B+8, 0x0f0e0b0a07060706, dwords that overlap themselves)
    call fill
    movl $B+8, %esi
    movl $B+9, %edi
    movl $9, %ecx
    std
    rep movsb
    cld
    CHECK_EQ(B, 0x0605040302010000, backwards overlap is a copy)
    CHECK_EQ(B+8, 0x0f0e0d0c0b0a0807, backwards overlap is a copy)
    REGS(B-1, B, 0, std rep movsb)
    call fill
    movl $B, %edi
    movl $B+1, %esi
    movl $8, %ecx
    rep movsb
    CHECK_EQ(B, 0x0807060504030201, forwards overlap is a copy)

    // --- STOS, LODS ---
    call fill
    movl $B+3, %edi
    SET(%rax, 0x1122334455667788)
    movl $3, %ecx
    rep stosw
    CHECK_EQ(B, 0x8877887788020100, rep stosw)
    CHECK_EQ(B+8, 0x0f0e0d0c0b0a0977, rep stosw)
    movl $B, %esi
    lodsb
    CHECK_EQ(%rax, 0x1122334455667700, lodsb)
    lodsw
    CHECK_EQ(%rax, 0x1122334455660201, lodsw)
    lodsl
    CHECK_EQ(%rax, 0x77887788, lodsl)
    lodsq
    CHECK_EQ(%rax, 0x0e0d0c0b0a097788, lodsq)
    movl $B+64, %esi
    movl $4, %ecx
    rep lodsl
    CHECK_EQ(%rax, 0x4f4e4d4c, rep lodsl)
    CHECK_EQ(%rcx, 0, rep lodsl)

    // --- CMPS: (rsi) - (rdi); SCAS: a - (rdi) ---
    call fill
    movl $8, %ecx
    SET_FLAGS(ARITH)
    repe cmpsb
    CHECK_FLAGS(CF|SF, CF|ZF|SF|OF, repe cmpsb)
    REGS(B+1, B+33, 7, repe cmpsb stops at the first difference)
    call fill
    movl $B, %edi
    movl $8, %ecx
    SET_FLAGS(CF|SF|OF|AF)
    repe cmpsw
    CHECK_FLAGS(ZF|PF, ARITH, repe cmpsw of equals)
    REGS(B+16, B+16, 0, repe cmpsw of equals)
    call fill
    movl $B+1, %edi
    movl $4, %ecx
    repne cmpsl
    REGS(B+16, B+17, 0, repne cmpsl)
    call fill
    movl $B+127, %edi
    movl $0x80, %ecx
    movb $0x80, B+10
    SET_FLAGS(0)
    movl $B+10, %esi
    cmpsb
    CHECK_FLAGS(OF, CF|ZF|SF|OF, cmpsb 80 - 7f)
    call fill
    movl $B, %edi
    movl $100, %ecx
    movb $10, %al
    repne scasb
    CHECK_FLAGS(ZF|PF, ARITH, repne scasb)
    REGS(B, B+11, 89, repne scasb)
    movb $10, %al
    movl $3, %ecx
    repne scasb
    CHECK_FLAGS(CF|SF, CF|ZF|SF|OF, repne scasb not found)
    CHECK_EQ(%rcx, 0, repne scasb not found)
    movl $B+40, %edi
    SET(%rax, 0x2f2e2d2c2b2a2928)
    movl $9, %ecx
    std
    repe scasq
    cld
    CHECK_EQ(%rdi, B+24, std repe scasq)
    CHECK_EQ(%rcx, 7, std repe scasq)

    // --- 32-bit addresses: the registers are cut, and zero-extended when written ---
    call fill
    SET(%rsi, 0x1122334400000000+B)
    SET(%rdi, 0x5566778800000000+B+32)
    SET(%rcx, 0x99aabbcc00000003)
    .byte 0x67
    rep movsb
    REGS(B+3, B+35, 0, addr32 rep movsb)
    CHECK_EQ(B+32, 0x2726252423020100, addr32 rep movsb)
    SET(%rsi, 0x1122334400000000+B)
    .byte 0x67
    lodsb
    CHECK_EQ(%rsi, B+1, addr32 lodsb)

    // --- the last of F2 and F3 counts; REP on MOVS is either ---
    call fill
    movl $2, %ecx
    .byte 0xf2, 0xa4
    REGS(B+2, B+34, 0, f2 movsb)
    call fill
    movl $5, %ecx
    movl $B, %edi
    .byte 0xf2, 0xf3, 0xa6 // repe
    REGS(B+5, B+5, 0, f2 f3 cmpsb)
    call fill
    movl $5, %ecx
    movl $B, %edi
    .byte 0xf3, 0xf2, 0xa6 // repne
    REGS(B+1, B+1, 4, f3 f2 cmpsb)

    // --- faults in the middle ---
    SET(%rdi, W_END-6)
    SET(%rax, 0x5a5a5a5a5a5a5a5a)
    SET(%rcx, 10)
    SET_MEM(W_END-8, 0x1111111111111111)
    SET_FLAGS(CF|ZF)
    PAGE_FAULT(W_END, PF_WRITE|PF_USER, "rep stosb")
    CHECK_FLAGS(CF|ZF, ARITH, rep stosb that faults)
    CHECK_EQ(%rcx, 4, rep stosb that faults)
    CHECK_EQ(%rdi, W_END, rep stosb that faults)
    CHECK_EQ(W_END-8, 0x5a5a5a5a5a5a1111, rep stosb that faults)
    SET(%rdi, W_END-10) // the third dword would cross: nothing of it is written
    SET(%rcx, 4)
    SET_MEM(W_END-8, 0x1111111111111111)
    SET_MEM(W_END-16, 0x1111111111111111)
    PAGE_FAULT(W_END, PF_WRITE|PF_USER, "rep stosl")
    CHECK_EQ(%rcx, 2, rep stosl that crosses)
    CHECK_EQ(%rdi, W_END-2, rep stosl that crosses)
    CHECK_EQ(W_END-8, 0x11115a5a5a5a5a5a, rep stosl that crosses)
    SET(%rsi, W_END-3)
    SET(%rdi, W_RW)
    SET(%rcx, 8)
    SET_MEM(W_RW, 0)
    PAGE_FAULT(W_END, PF_USER, "rep movsb")
    CHECK_EQ(W_RW, 0x11115a, rep movsb whose source faults)
    REGS(W_END, W_RW+3, 5, rep movsb whose source faults)
    SET(%rsi, W_RO+8)
    SET(%rdi, W_RO+2)
    SET(%rcx, 4)
    std
    PAGE_FAULT(W_RO+2, PF_WRITE|PF_USER|PF_PRESENT, "rep movsw")
    REGS(W_RO+8, W_RO+2, 4, std rep movsw to read-only memory)
    SET(%rsi, W_RW+0x100)
    SET(%rdi, W_AFTER_RO+2)
    SET(%rcx, 4)
    PAGE_FAULT(W_RO+0xffe, PF_WRITE|PF_USER|PF_PRESENT, "rep movsl")
    cld
    REGS(W_RW+0x100-4, W_AFTER_RO+2-4, 3, std rep movsl that crosses down)
    SET(%rsi, W_RW)
    SET(%rdi, W_END)
    SET(%rcx, 1)
    SET_FLAGS(CF|OF|SF)
    PAGE_FAULT(W_END, PF_USER, "repe cmpsb")
    CHECK_FLAGS(CF|OF|SF, ARITH, repe cmpsb that faults at once)
    REGS(W_RW, W_END, 1, repe cmpsb that faults at once)
    SET(%rdi, W_END-2)
    SET(%rcx, 100)
    movb $0x77, %al
    PAGE_FAULT(W_END, PF_USER, "repne scasb")
    CHECK_EQ(%rdi, W_END, repne scasb that faults)
    CHECK_EQ(%rcx, 98, repne scasb that faults)
    ret
