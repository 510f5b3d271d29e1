// SPDX-License-Identifier: MIT
//
// A boot sector whose exits are known: READS reads of port 0x61 at the symbol `poll`, then the end: through isa-debug-exit, with -DRESET after a reset
// and as many reads again (a byte of CMOS memory tells the second life), with -DLOOP never, with -DOFF by a reset in any life.
    .code16
    .globl _start, poll
_start:
    movl $READS, %ecx
poll:
    inb $0x61, %al
    decl %ecx
    jnz poll
#ifdef LOOP
1:  jmp 1b
#endif
#ifdef OFF
    jmp reset
#endif
#ifdef RESET
    movb $0x50, %al
    outb %al, $0x70
    inb $0x71, %al
    testb %al, %al
    jnz end
    movb $0x50, %al
    outb %al, $0x70
    movb $1, %al
    outb %al, $0x71
    jmp reset
#endif
end:
    movb $16, %al
    outb %al, $0xf4
1:  hlt
    jmp 1b
reset:
    movw $0xcf9, %dx
    movb $6, %al
    outb %al, %dx
1:  hlt
    jmp 1b
    .org 510
    .word 0xaa55
