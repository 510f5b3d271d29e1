// SPDX-License-Identifier: MIT
//
// Real mode: a boot sector that says hello on COM1 and ends through isa-debug-exit. Proves 16-bit
// entry at 0:7C00, segment arithmetic, string output (rep outsb) and the flat loader.
#include "guest.h"

    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x7c00, %sp
    cld

    movw $text, %si
    movw $text_len, %cx
    movw $COM1, %dx
    rep outsb

    // The same byte through two segment:offset pairs.
    movw $0x1000, %ax
    movw %ax, %es
    movb $'R', %es:0x0010
    movw $0x1001, %ax
    movw %ax, %es
    movb %es:0x0000, %al
    movw $COM1, %dx
    outb %al, %dx
    movb $'\n', %al
    outb %al, %dx

    movb $PASS, %al
    movw $DEBUG_EXIT, %dx
    outb %al, %dx
1:  hlt
    jmp 1b

text:
    .ascii "hello from real mode\n"
    .set text_len, . - text

    .org 510
    .word 0xaa55
