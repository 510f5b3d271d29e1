// SPDX-License-Identifier: MIT
//
// Going through the IDT: what is pushed and where, stack alignment, error codes, gates that cannot be used, interrupt stacks, double faults, flags
// in the handler, faults and traps, NMI-free paths back. SDM vol. 3 chapter 6.
#include "cpu_sys.h"

.set VEC, 0x60

// Gate of vector VEC: type byte, IST.
.macro gate type, ist, target
    movl $\target, %eax
    movzwl %ax, %ecx
    orl $SEL_CODE<<16, %ecx
    movl %ecx, guest_idt+VEC*16
    andl $0xffff0000, %eax
    orl $(\type)<<8|\ist, %eax
    movl %eax, guest_idt+VEC*16+4
    movq $0, guest_idt+VEC*16+8
.endm

// Keeps what it finds, then goes back.
handler:
    movq %rsp, saw_rsp
    movq (%rsp), %rax
    movq %rax, saw
    movq 8(%rsp), %rax
    movq %rax, saw+8
    movq 16(%rsp), %rax
    movq %rax, saw+16
    movq 24(%rsp), %rax
    movq %rax, saw+24
    movq 32(%rsp), %rax
    movq %rax, saw+32
    pushfq
    popq saw_flags
    iretq

cpu_topic_main:
    // --- INT n in ring 0: the frame is complete and on 16 bytes, whatever rsp was ---
    gate 0x8e, 0, handler
    movq %rsp, %r15
    leaq -3(%rsp), %rsp
    movq %rsp, %rbx
    pushfq
    popq %r12
    int $VEC
1:  subq %rsp, %rbx
    movq %r15, %rsp
    CHECK_EQ(%rbx, 0, iretq brings rsp back)
    leaq -3(%r15), %rbx
    movq saw+24, %rax
    subq %rbx, %rax
    CHECK_EQ(%rax, 0, rsp on the stack)
    andq $-16, %rbx
    subq $40, %rbx
    subq saw_rsp, %rbx
    CHECK_EQ(%rbx, 0, the frame is aligned)
    CHECK_EQ(saw, 1b, rip on the stack)
    CHECK_EQ(saw+8, SEL_CODE, cs on the stack)
    CHECK_EQ(saw+32, SEL_CODE_DATA, ss on the stack)

    // --- interrupt gate and trap gate: IF; TF, NT, RF are off in both; DF stays ---
    SET_FLAGS(ARITH|NT|DF)
    int $VEC
    CHECK_FLAGS(ARITH|NT|DF, ARITH|NT|DF, iretq brings the flags back)
    SET_FLAGS(0)
    CHECK_MASK(saw+16, ARITH|NT|DF|2, ARITH|NT|DF|2, flags on the stack)
    CHECK_MASK(saw_flags, DF, NT|TF|RF|IF|DF, flags in the handler)
    gate 0x8f, 0, handler
    sti
    int $VEC
    cli
    CHECK_MASK(saw_flags, IF, IF, IF in a trap gate)
    gate 0x8e, 0, handler
    sti
    int $VEC
    cli
    CHECK_MASK(saw_flags, 0, IF, IF in an interrupt gate)
    CHECK_MASK(saw+16, IF, IF, IF on the stack)

    // --- IST ---
    gate 0x8e, 2, handler
    movq $W_AFTER_END, guest_tss+36+8
    int $VEC
    CHECK_EQ(saw_rsp, W_AFTER_END-40, interrupt stack 2)
    gate 0x8e, 0, handler

    // --- from ring 3: RSP0, gate privilege ---
    USER_FAULT(13, VEC*8+2, "int $0x60")
    gate 0xee, 0, handler
    USER_RUNS("int $0x60")
    CHECK_EQ(saw+8, SEL_USER_CODE, cs of ring 3)
    CHECK_EQ(saw+32, SEL_USER_DATA, ss of ring 3)
    CHECK_EQ(saw+24, W_RW+0x1000, rsp of ring 3)
    movq guest_tss+4, %rax
    subq saw_rsp, %rax
    CHECK_EQ(%rax, 40, the handler runs on RSP0)

    // --- gates that cannot be used ---
    gate 0x6e, 0, handler // not present
    FAULT_CODE(11, VEC*8+2, "int $0x60")
    gate 0x85, 0, handler // a task gate: none in long mode
    FAULT_CODE(13, VEC*8+2, "int $0x60")
    gate 0x86, 0, handler // 16 bits
    FAULT_CODE(13, VEC*8+2, "int $0x60")
    gate 0x8e, 0, handler
    movw $0, guest_idt+VEC*16+2 // null code segment
    FAULT_CODE(13, 0, "int $0x60")
    movw $SEL_CODE_DATA, guest_idt+VEC*16+2
    FAULT_CODE(13, SEL_CODE_DATA, "int $0x60")
    movw $SEL_USER_CODE, guest_idt+VEC*16+2
    FAULT_CODE(13, SEL_USER_CODE&~3, "int $0x60") // outwards
    movw $0x100, guest_idt+VEC*16+2
    FAULT_CODE(13, 0x100, "int $0x60")
    gate 0x8e, 0, handler
    movl $0x80000000, guest_idt+VEC*16+8 // handler at a non-canonical address
    FAULT_CODE(13, 0, "int $0x60")
    movl $0, guest_idt+VEC*16+8
    // IDT too short
    sidt cpu_operand
    movq cpu_operand, %rax
    movq %rax, cpu_operand+16
    movq cpu_operand+8, %rax
    movq %rax, cpu_operand+24
    movw $VEC*16+14, cpu_operand+16
    lidt cpu_operand+16
    FAULT_CODE(13, VEC*8+2, "int $0x60")
    lidt cpu_operand

    // --- exceptions on the way: EXT set in error codes, double fault ---
    // #UD whose gate is not present: #NP with the gate's vector, IDT and EXT.
    movq guest_idt+6*16, %rbx
    btrq $47, guest_idt+6*16
    FAULT_CODE(11, 6*8+3, "ud2")
    movq %rbx, guest_idt+6*16
    // #GP on delivering #GP: double fault, with error code 0.
    movq guest_idt+13*16, %rbx
    btrq $47, guest_idt+13*16
    SET(%rax, 0x8000000000000000)
    ON_FAULT(1f)
    movb (%rax), %al
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 8, double fault)
    CHECK_EQ(cpu_fault+FAULT_ERROR, 0, double fault)
    movq %rbx, guest_idt+13*16
    // #PF on delivering #DE: benign and page fault in series? #DE is contributory, #PF after it is just #PF; #GP after #PF is a double fault.
    movq guest_idt+14*16, %rbx
    btrq $47, guest_idt+14*16
    ON_FAULT(1f)
    movb W_END, %al
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 8, #NP on delivering #PF is a double fault)
    movq %rbx, guest_idt+14*16
    // #UD is benign: #NP on delivering it is #NP (above). #DE contributory and #NP: double fault.
    movq guest_idt, %rbx
    btrq $47, guest_idt
    ON_FAULT(1f)
    xorl %ecx, %ecx
    divl %ecx
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 8, #NP on delivering #DE is a double fault)
    movq %rbx, guest_idt
    // A stack that is not there: the page fault of pushing #UD's frame is #PF; without an IST that works it would be worse.
    movq guest_idt+6*16, %rbx
    movb $0, guest_idt+6*16+4 // no IST
    movq %rsp, %r15
    ON_FAULT(1f)
    movq $W_BEFORE_RO, %rsp
    ud2
1:  movq %r15, %rsp
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, no stack for #UD)
    CHECK_EQ(cpu_fault+FAULT_ERROR, PF_WRITE, no stack for #UD)
    CHECK_EQ(cpu_fault+FAULT_CR2, W_BEFORE_RO-8, no stack for #UD)
    ON_FAULT(1f)
    SET(%rsp, 0x8000000000000000)
    ud2
1:  movq %r15, %rsp
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 12, a non-canonical stack for #UD)
    CHECK_EQ(cpu_fault+FAULT_ERROR, 1, a non-canonical stack for #UD: EXT)
    movq %rbx, guest_idt+6*16

    // --- faults point at the instruction, RF is set in their flags; traps behind it ---
    SET_FLAGS(CF)
    FAULT(6, "ud2")
    CHECK_MASK(cpu_fault+FAULT_FLAGS, CF|RF, CF|RF|TF, RF of a fault)
    ON_FAULT(1f)
    int3
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 1b, int3 is a trap)
    CHECK_MASK(cpu_fault+FAULT_FLAGS, 0, RF, RF of a trap)
    ON_FAULT(1f)
    .byte 0xf1 // INT1
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 1, int1)
    CHECK_EQ(cpu_fault+FAULT_RIP, 1b, int1)
    NO_FAULT
    ret
    .bss
    .balign 8
saw: .skip 40
saw_rsp: .skip 8
saw_flags: .skip 8
