// SPDX-License-Identifier: MIT
//
// A guest that does nothing but exit: READS (40 million unless told) reads of port 0x61, then the end through isa-debug-exit.
#ifndef READS
#define READS 40000000
#endif
    .code16
    .globl _start
_start:
    movl $READS, %ecx
1:  inb $0x61, %al
    decl %ecx
    jnz 1b
    movb $16, %al
    outb %al, $0xf4
2:  hlt
    jmp 2b
    .org 510
    .word 0xaa55
