// SPDX-License-Identifier: MIT
//
// Real mode: PIT channel 2 polled through port 0x61, a look at the RTC, then ten timer interrupts
// through the real-mode vector table (the 8259 pair at vectors 8 and 0x70, as PC firmware has it),
// told from exceptions by counting. Says what worked and ends through isa-debug-exit.
#include "guest.h"

    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    cld

    // Channel 2: mode 0, 10 ms.
    inb $0x61, %al
    andb $0xfc, %al
    outb %al, $0x61
    movb $0xb0, %al
    outb %al, $0x43
    movw $11932, %ax
    outb %al, $0x42
    movb %ah, %al
    outb %al, $0x42
    inb $0x61, %al
    testb $0x20, %al
    jnz fail                      // not yet
    orb $1, %al
    outb %al, $0x61
1:  inb $0x61, %al
    testb $0x20, %al
    jz 1b
    movw $said_pit, %si
    call say

    // RTC: valid RAM and time, no update under way, a BCD second.
    movb $0x0d, %al
    call cmos
    cmpb $0x80, %al
    jne fail
2:  movb $0x0a, %al
    call cmos
    testb $0x80, %al
    jnz 2b
    xorb %al, %al
    call cmos
    cmpb $0x59, %al
    ja fail
    movw $said_rtc, %si
    call say

    // The 8259 pair, all masked but IRQ0; 100 Hz on channel 0.
    movw $pic_program, %si
    movw $(pic_program_end - pic_program) / 2, %cx
3:  lodsw
    movb %al, %dl
    xorb %dh, %dh
    movb %ah, %al
    outb %al, %dx
    loop 3b
    movw $on_tick, 8 * 4
    movw $0, 8 * 4 + 2
    movb $0x34, %al
    outb %al, $0x43
    movw $11932, %ax
    outb %al, $0x40
    movb %ah, %al
    outb %al, $0x40
4:  sti
    hlt
    cli
    cmpb $10, ticks
    jb 4b
    movw $said_irq, %si
    call say

    movb $PASS, %al
5:  movw $DEBUG_EXIT, %dx
    outb %al, %dx
6:  hlt
    jmp 6b
fail:
    movw $said_fail, %si
    call say
    movb $FAIL, %al
    jmp 5b

on_tick:
    pushw %ax
    incb %cs:ticks
    movb $0x20, %al
    outb %al, $0x20
    popw %ax
    iretw

// Register %al of the RTC in %al.
cmos:
    outb %al, $0x70
    inb $0x71, %al
    ret

// The text at %si, with its length in front.
say:
    lodsb
    xorb %ah, %ah
    movw %ax, %cx
    movw $COM1, %dx
    rep outsb
    ret

ticks:
    .byte 0
pic_program:                      // port, value
    .byte 0x20, 0x11, 0xa0, 0x11, 0x21, 0x08, 0xa1, 0x70, 0x21, 4, 0xa1, 2
    .byte 0x21, 1, 0xa1, 1, 0x21, 0xfe, 0xa1, 0xff
pic_program_end:

    .macro text name, words
\name:
    .byte 9f - 8f
8:  .ascii "\words\n"
9:
    .endm
    text said_pit, "PIT channel 2 by polling"
    text said_rtc, "RTC"
    text said_irq, "ten interrupts through the vector table"
    text said_fail, "FAILED"

    .org 510
    .word 0xaa55
