// SPDX-License-Identifier: MIT
//
// A guest that does nothing but exit: 40000000 reads of port 0x61, then the end through isa-debug-exit.
    .code16
    .globl _start
_start:
    movl $40000000, %ecx
1:  inb $0x61, %al
    decl %ecx
    jnz 1b
    movb $16, %al
    outb %al, $0xf4
2:  hlt
    jmp 2b
    .org 510
    .word 0xaa55
