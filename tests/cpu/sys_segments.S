// SPDX-License-Identifier: MIT
//
// Segment registers and far transfers in long mode: selectors that are refused and with which error code, accessed bits, LAR, LSL, VERR, VERW, LDT,
// call gates, compatibility mode, IRET. SDM vol. 3 chapters 3 and 5.
#include "cpu_sys.h"

.set S_A, 0x50      // descriptors that the tests make
.set S_B, 0x58
.set S_C, 0x60
.set S_D, 0x68

.set DATA3, 0x00cff2000000ffff // not accessed
.set DATA0, 0x00cf92000000ffff
.set CODE64, 0x00af9a000000ffff
.set CODE32, 0x00cf9a000000ffff

cpu_topic_main:
    // --- MOV to segment registers ---
    set_descriptor S_A, DATA0
    movl $S_A, %ecx
    movl %ecx, %ds
    CHECK_EQ(guest_gdt+S_A, DATA0|1<<40, loading marks the descriptor accessed)
    SET(%rax, -1)
    movl %ds, %eax
    CHECK_EQ(%rax, S_A, mov from ds)
    SET(%rax, -1)
    movw %ds, %ax
    CHECK_EQ(%rax, 0xffffffffffff0000+S_A, movw from ds)
    SET_MEM(cpu_operand, -1)
    movw %ds, cpu_operand // memory: 16 bits whatever the size
    CHECK_EQ(cpu_operand, 0xffffffffffff0000+S_A, mov from ds to memory)
    set_descriptor S_A, DATA0&~(1<<47)
    FAULT_CODE(11, S_A, "movl %ecx, %es")          // not present
    FAULT_CODE(12, S_A, "movl %ecx, %ss")          // SS: #SS
    set_descriptor S_A, CODE64&~(2<<40)            // execute-only code
    FAULT_CODE(13, S_A, "movl %ecx, %es")
    set_descriptor S_A, 0x0000820000000000         // an LDT
    FAULT_CODE(13, S_A, "movl %ecx, %ds")
    set_descriptor S_A, 0x00cf90000000ffff         // read-only data
    movl %ecx, %ds
    FAULT_CODE(13, S_A, "movl %ecx, %ss")
    set_descriptor S_A, DATA3
    FAULT_CODE(13, S_A, "movl %ecx, %ss")          // DPL 3 in ring 0
    movl %ecx, %ds                                 // data may be less privileged
    movl $S_A+3, %edx
    FAULT_CODE(13, S_A, "movl %edx, %ss")          // RPL 3
    movl $0x100, %edx                              // beyond the limit
    FAULT_CODE(13, 0x100, "movl %edx, %ds")
    movl $0x104, %edx                              // the LDT, which there is none
    FAULT_CODE(13, 0x104, "movl %edx, %ds")
    movl $3, %edx
    movl %edx, %ds                                 // null with an RPL
    FAULT_CODE(13, 0, "movl %edx, %ss")            // for SS the RPL must be that of the ring
    xorl %edx, %edx
    movl %edx, %ss                                 // null SS in 64-bit ring 0
    movl $SEL_CODE_DATA, %edx
    movl %edx, %ss
    movl %edx, %ds
    movl %edx, %es
    movl $SEL_CODE_DATA, %ecx
    USER_FAULT(13, SEL_CODE_DATA, "movl %ecx, %ds")

    // --- bases: a 32-bit load of FS sets its base; null does not keep it on AMD, so no case for that ---
    set_descriptor S_A, 0x12cf92345678ffff
    movl $S_A, %ecx
    movl %ecx, %fs
    load_msr 0xc0000100
    CHECK_EQ(%rax, 0x12345678, loading fs sets its base)
    store_msr 0xc0000100, 0
    xorl %ecx, %ecx
    movl %ecx, %fs

    // --- LAR, LSL, VERR, VERW ---
    set_descriptor S_A, DATA3
    set_descriptor S_B, 0x00409a0000001234 // byte granularity
    set_descriptor S_C, 0x00008c0000000000 // call gate
    set_descriptor S_D, 0                  // its upper half, and a null type
    movl $S_A, %edx
    SET(%rax, -1)
    larl %edx, %eax
    CHECK_FLAGS(ZF, ZF, lar)
    CHECK_MASK(%rax, 0x00c0f200, 0xfff0ffff, lar)
    lsll %edx, %eax
    CHECK_EQ(%rax, 0xffffffff, lsl with page granularity)
    movl $S_B, %edx
    lsll %edx, %eax
    CHECK_EQ(%rax, 0x1234, lsl)
    SET(%rax, 0x1122334455667788)
    lslw %dx, %ax
    CHECK_EQ(%rax, 0x1122334455661234, lslw)
    movl $S_C, %edx
    larl %edx, %eax
    CHECK_FLAGS(ZF, ZF, lar of a call gate)
    SET(%rax, 0x1122334455667788)
    lsll %edx, %eax
    CHECK_FLAGS(0, ZF, lsl of a call gate)
    CHECK_EQ(%rax, 0x1122334455667788, lsl that fails)
    xorl %edx, %edx
    SET_FLAGS(ARITH)
    larl %edx, %eax
    CHECK_FLAGS(ARITH&~ZF, ARITH, lar of null)
    movl $0x400, %edx
    larl %edx, %eax
    CHECK_FLAGS(0, ZF, lar beyond the limit)
    movl $S_B+3, %edx
    larl %edx, %eax
    CHECK_FLAGS(0, ZF, lar with an RPL that may not)
    movl $S_A, %edx
    verw %dx
    CHECK_FLAGS(ZF, ZF, verw of data)
    movl $S_B, %edx
    verw %dx
    CHECK_FLAGS(0, ZF, verw of code)
    verr %dx
    CHECK_FLAGS(ZF, ZF, verr of readable code)

    // --- LDT ---
    movabsq $guest_gdt, %rax // the LDT is the GDT once more
    movq %rax, %rdx
    shlq $16, %rax
    movabsq $0x000000ffffff0000, %rcx
    andq %rcx, %rax
    movabsq $0x00008200000000ff, %rcx
    orq %rcx, %rax
    movq %rax, guest_gdt+S_C
    movq $0, guest_gdt+S_D
    movl $S_C, %ecx
    lldt %cx
    sldt %eax
    CHECK_EQ(%rax, S_C, sldt)
    movl $SEL_CODE_DATA+4, %ecx
    movl %ecx, %ds
    movl $0x104, %ecx
    FAULT_CODE(13, 0x104, "movl %ecx, %ds")
    movl $SEL_CODE_DATA, %ecx
    movl %ecx, %ds
    FAULT_CODE(13, SEL_CODE_DATA, "lldt %cx")
    movl $S_C+4, %ecx
    FAULT_CODE(13, S_C+4, "lldt %cx") // not from an LDT
    btrq $47, guest_gdt+S_C
    movl $S_C, %ecx
    FAULT_CODE(11, S_C, "lldt %cx")
    xorl %ecx, %ecx
    lldt %cx
    movl $SEL_CODE_DATA+4, %ecx
    FAULT_CODE(13, SEL_CODE_DATA+4, "movl %ecx, %ds")
    // LTR: a busy TSS, a TSS that is none
    movl $SEL_TSS, %ecx
    FAULT_CODE(13, SEL_TSS, "ltr %cx")
    CHECK_MASK(guest_gdt+SEL_TSS, 0xb<<40, 0xf<<40, ltr has marked it busy)
    movl $SEL_CODE_DATA, %ecx
    FAULT_CODE(13, SEL_CODE_DATA, "ltr %cx")
    xorl %ecx, %ecx
    FAULT_CODE(13, 0, "ltr %cx")

    // --- far transfers ---
    movq $1f, cpu_operand
    movw $SEL_CODE, cpu_operand+8
    rex.w ljmp *cpu_operand
    ud2
1:  movq $S_A, cpu_operand+8
    FAULT_CODE(13, S_A, "rex.w ljmp *cpu_operand")   // data
    movq $0, cpu_operand+8
    FAULT_CODE(13, 0, "rex.w ljmp *cpu_operand")     // null
    movw $SEL_USER_CODE, cpu_operand+8
    FAULT_CODE(13, SEL_USER_CODE&~3, "rex.w ljmp *cpu_operand") // outwards
    set_descriptor S_A, CODE64|1<<54                 // L and D
    movw $S_A, cpu_operand+8
    FAULT_CODE(13, S_A, "rex.w ljmp *cpu_operand")
    set_descriptor S_A, CODE64&~(1<<47)
    FAULT_CODE(11, S_A, "rex.w ljmp *cpu_operand")
    set_descriptor S_A, CODE64|4<<40                 // conforming
    movq $1f, cpu_operand
    rex.w lcall *cpu_operand
1:  popq %rax
    CHECK_EQ(%rax, 1b, far call pushes rip)
    popq %rax
    CHECK_EQ(%rax, SEL_CODE, far call pushes cs)
    pushq $SEL_CODE
    pushq $1f
    lretq
1:  movq %rsp, %rbx
    pushq $SEL_USER_CODE-3                           // RPL 0 to a ring 3 segment
    pushq $1f
    ON_FAULT(1f)
    lretq
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 13, far return to less privilege with a wrong RPL)
    movq %rbx, %rsp
    // Call gate of 64 bits: ring 3 calls ring 0 on the stack of the TSS.
    movq $2f, %rax
    movzwl %ax, %ecx
    movabsq $0x0000ec0000000000|SEL_CODE<<16, %rdx
    orq %rdx, %rcx
    shrq $16, %rax
    shlq $48, %rax
    orq %rax, %rcx
    movq $2f, %rax
    shrq $32, %rax
    movq %rcx, guest_gdt+S_C
    movq $2f, %rcx
    movq %rcx, %rdx
    shrq $16, %rcx
    andl $0xffff, %ecx
    shlq $48, %rcx
    movzwl %dx, %edx
    orq %rdx, %rcx
    movabsq $0x0000ec0000000000|SEL_CODE<<16, %rdx
    orq %rdx, %rcx
    movq %rcx, guest_gdt+S_C
    movq $0, guest_gdt+S_D
    movl $0, cpu_operand
    movw $S_C+3, cpu_operand+4
    movq $1f, cpu_fault+FAULT_RESUME
    enter_user 3f
3:  lcall *cpu_operand
    movl $0x77, %ebx
    ud2
2:  movl %cs, %r8d // in ring 0
    movl %ss, %r9d
    movq 24(%rsp), %r10 // SS
    movq 16(%rsp), %r11 // RSP
    movq 8(%rsp), %r12  // CS
    lretq
1:  CHECK_EQ(%r8, SEL_CODE, call gate: cs)
    CHECK_EQ(%r9, 0, call gate: ss is null)
    CHECK_EQ(%r10, SEL_USER_DATA, call gate: ss on the stack)
    CHECK_EQ(%r11, W_RW+0x1000, call gate: rsp on the stack)
    CHECK_EQ(%r12, SEL_USER_CODE, call gate: cs on the stack)
    CHECK_EQ(%rbx, 0x77, far return to ring 3)
    CHECK_EQ(cpu_fault+FAULT_CS, SEL_USER_CODE, far return to ring 3)
    btrq $47, guest_gdt+S_C
    USER_FAULT(11, S_C, "lcall *cpu_operand")
    btsq $47, guest_gdt+S_C
    btsq $40, guest_gdt+S_D // the upper half's type must be zero
    USER_FAULT(13, S_C, "lcall *cpu_operand")

    // --- compatibility mode: 32-bit code under long mode's tables ---
    set_descriptor S_A, CODE32
    movl $1f, cpu_operand
    movw $S_A, cpu_operand+4
    SET(%rax, 0x1122334455667788)
    SET(%rbx, 0xffffffffffffffff)
    movq %rsp, %r15
    ljmp *cpu_operand
    .code32
1:  incl %eax
    .byte 0x41 // INC ECX here, a REX in 64-bit mode
    decl %ebx
    movl $W_RW+0x800, %esp
    pushl $0x12345678
    popl %edi
    ljmp $SEL_CODE, $2f
    .code64
2:  movq %r15, %rsp
    CHECK_EQ(%rax, 0x55667789, 32-bit code zero-extends)
    CHECK_EQ(%rbx, 0xfffffffe, 32-bit code zero-extends)
    CHECK_EQ(%rdi, 0x12345678, push and pop of 32 bits)

    // --- IRETQ ---
    movq %rsp, %rbx
    pushq $SEL_CODE_DATA
    pushq %rbx
    pushq $0x2|NT
    pushq $SEL_CODE
    pushq $1f
    iretq
1:  pushfq
    popq %rax
    CHECK_MASK(%rax, NT, NT, iretq loads NT)
    pushq $2
    popfq
    pushq $SEL_CODE_DATA
    pushq %rbx
    pushq $2
    pushq $SEL_CODE
    movabsq $0x8000000000000000, %rax
    pushq %rax
    ON_FAULT(1f)
    iretq
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 13, iretq to a non-canonical address)
    movq %rbx, %rsp
    pushq $NT|2
    popfq
    ON_FAULT(1f)
2:  iretq
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 13, iretq with NT)
    CHECK_EQ(cpu_fault+FAULT_ERROR, 0, iretq with NT)
    CHECK_EQ(cpu_fault+FAULT_RIP, 2b, iretq with NT)
    pushq $2
    popfq
    movq %rbx, %rsp
    pushq $SEL_USER_DATA
    pushq %rbx
    pushq $2
    pushq $SEL_CODE
    pushq $1f
    ON_FAULT(1f)
    iretq // SS of ring 3 for a CS of ring 0
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 13, iretq with a wrong SS)
    CHECK_EQ(cpu_fault+FAULT_ERROR, SEL_USER_DATA&~3, iretq with a wrong SS)
    movq %rbx, %rsp
    NO_FAULT
    ret
