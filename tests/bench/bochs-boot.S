// SPDX-License-Identifier: MIT
//
// Boot sector that starts Linux under Bochs, which has no -kernel: tests/bench/interp.sh puts the kernel and the initramfs behind it on a
// disk image and defines where they are. In 32-bit protected mode it reads them from the first ATA disk by programmed I/O and enters
// the kernel as the 32-bit boot protocol has it (Documentation/x86/boot.rst), after a line "kernel" on COM1. RAM is MEMORY_BYTES; the BIOS keeps its ACPI tables in the
// last 64 KiB.
//
// From the command line: SETUP_SECTORS (the boot sector's own included), KERNEL_SECTORS (all of the file), INITRD_SECTORS, INITRD_BYTES,
// COMMAND_LINE (a string).
#define PARAMS 0x90000
#define SETUP 0x80000          /* the kernel's real-mode part, for its header */
#define KERNEL 0x100000
#define INITRD 0x10000000
#define MEMORY_BYTES 0x20000000
#define ACPI_BYTES 0x10000

#define COM1 0x3f8
#define HEADER 0x1f1
#define ATA 0x1f0
#define ATA_BUSY_OR_DATA 0x88

    .code16
    .text
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    inb $0x92, %al             // A20
    orb $2, %al
    outb %al, $0x92
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x10, $protected

    .code32
protected:
    movl $0x18, %eax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x7c00, %esp
    cld

    movl $1, %ebx
    movl $SETUP, %edi
    movl $SETUP_SECTORS, %ebp
    call read
    movl $KERNEL, %edi
    movl $(KERNEL_SECTORS - SETUP_SECTORS), %ebp
    call read
    movl $INITRD, %edi
    movl $INITRD_SECTORS, %ebp
    call read

    movl $PARAMS, %edi
    xorl %eax, %eax
    movl $1024, %ecx
    rep stosl
    movl $(SETUP + HEADER), %esi
    movl $(PARAMS + HEADER), %edi
    movl $(0x290 - HEADER), %ecx
    rep movsb
    movb $0xff, PARAMS + 0x210          // type_of_loader
    movl $command_line, PARAMS + 0x228
    movl $INITRD, PARAMS + 0x218
    movl $INITRD_BYTES, PARAMS + 0x21c
    movb $3, PARAMS + 0x1e8             // memory map
    movl $memory_map, %esi
    movl $(PARAMS + 0x2d0), %edi
    movl $60, %ecx
    rep movsb
    movl $mark, %esi                    // firmware and loading end here
    movl $COM1, %edx
    movl $mark_size, %ecx
    rep outsb
    movl $PARAMS, %esi
    movl $KERNEL, %eax
    jmp *%eax

    // %ebp sectors from LBA %ebx on to %edi; leaves %ebx and %edi behind them.
read:
    movl %ebx, %eax
    movl $(ATA + 3), %edx
    outb %al, %dx
    incl %edx
    shrl $8, %eax
    outb %al, %dx
    incl %edx
    shrl $8, %eax
    outb %al, %dx
    incl %edx
    shrl $8, %eax
    orb $0xe0, %al
    outb %al, %dx
    movl $(ATA + 2), %edx
    movb $1, %al
    outb %al, %dx
    movl $(ATA + 7), %edx
    movb $0x20, %al
    outb %al, %dx
1:  inb %dx, %al
    andb $ATA_BUSY_OR_DATA, %al
    cmpb $8, %al
    jne 1b
    movl $ATA, %edx
    movl $256, %ecx
    rep insw
    incl %ebx
    decl %ebp
    jnz read
    ret

    .balign 8
gdt:
    .quad 0, 0
    .quad 0x00cf9b000000ffff   // 0x10 and 0x18, as Linux wants them
    .quad 0x00cf93000000ffff
gdt_pointer:
    .word . - gdt - 1
    .long gdt
memory_map:                    // address, length, kind: RAM, RAM, ACPI tables
    .quad 0, 0x9f000
    .long 1
    .quad KERNEL, MEMORY_BYTES - ACPI_BYTES - KERNEL
    .long 1
    .quad MEMORY_BYTES - ACPI_BYTES, ACPI_BYTES
    .long 3
mark:
    .ascii "kernel\n"
    .set mark_size, . - mark
command_line:
    .asciz COMMAND_LINE
    .org 510
    .word 0xaa55
