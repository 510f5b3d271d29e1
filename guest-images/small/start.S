// SPDX-License-Identifier: MIT
//
// Entry of the C guests: multiboot 1 (section 3.2 of its specification) enters in 32-bit protected
// mode without paging. For 64-bit guests this turns on long mode with the first 4 GiB mapped one to
// one by 2 MiB pages, then both kinds set a stack and call guest_main. Other CPUs come in by the
// trampoline, which smp.c copies to AP_TRAMPOLINE.
#include "guest.h"

#define MULTIBOOT_MAGIC 0x1badb002
#ifdef GUEST64
#define MULTIBOOT_FLAGS 0x00010003 /* align modules, memory sizes, load by the address fields */
#else
#define MULTIBOOT_FLAGS 0x00000003 /* the file is a 32-bit ELF */
#endif

    .section .multiboot, "a"
    .balign 4
header:
    .long MULTIBOOT_MAGIC
    .long MULTIBOOT_FLAGS
    .long -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
#ifdef GUEST64
    .long header
    .long image_start
    .long image_data_end
    .long image_end
    .long _start
#endif

    .text
    .code32
    .globl _start
_start:
    cli
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $stack_top, %esp
    movl %ebx, multiboot_info
#ifdef GUEST64
    // 2048 large pages over four page directories.
    movl $page_directories, %edi
    movl $0x83, %eax
    movl $2048, %ecx
2:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 2b
    movl $page_directories + 3, %eax
    movl $pdpt, %edi
    movl $4, %ecx
3:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    loop 3b
    movl $pdpt + 3, pml4

    movl $4f, %ebx
enter_long:                       // and go on at %ebx
    movl %cr4, %eax
    orl $0x620, %eax              // PAE; OSFXSR and OSXMMEXCPT
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx        // EFER.LME
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmp $0x18, $in_long
    .code64
in_long:
    movl $0x10, %eax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    jmp *%rbx
4:  movl $stack_top, %esp
    call guest_main
    movl $PASS, %edi
    call finish
#else
    call guest_main
    pushl $PASS
    call finish
#endif

#ifdef GUEST64
    // Another CPU: real mode at AP_TRAMPOLINE, then as the first CPU did.
    .code16
    .globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl AP_TRAMPOLINE + (ap_gdt_pointer - ap_trampoline)
    movl %cr0, %eax
    andl $0x9fffffff, %eax        // caches on
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x08, $ap_protected
ap_gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
ap_trampoline_end:
    .code32
ap_protected:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $5f, %ebx
    jmp enter_long
    .code64
5:  movl ap_stack, %esp           // smp_start waits for one CPU before it starts the next
    call ap_entry
#endif

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff      // 0x08 code, 32-bit, flat
    .quad 0x00cf93000000ffff      // 0x10 data, flat
    .quad 0x00af9b000000ffff      // 0x18 code, 64-bit
gdt_pointer:
    .word . - gdt - 1
    .long gdt
    .globl multiboot_info
multiboot_info:
    .long 0

    .bss
    .balign 16
    .skip 16384
stack_top:
#ifdef GUEST64
    .balign 4096
    .globl pml4, pdpt
pml4:
    .skip 4096
pdpt:
    .skip 4096
page_directories:
    .skip 4 * 4096
#endif
