// SPDX-License-Identifier: MIT
//
// Single-stepping, hardware breakpoints, DR6 and DR7, GD, RF, and the shadow behind MOV SS and STI. SDM vol. 3 chapter 17.
#include "cpu_sys.h"

.set BS, 0x4000
.set BD, 0x2000
.set ONES, 0xffff0ff0

.macro set_dr n, value
    movabsq $\value, %rax
    movq %rax, %dr\n
.endm
.macro step_on // TF on: the trap comes after the next instruction
    pushfq
    orl $TF, (%rsp)
    popfq
.endm

cpu_topic_main:
    // --- power-on values, reserved bits ---
    movq %dr6, %rax
    CHECK_MASK(%rax, ONES, ONES, dr6 reserved ones)
    movq %dr7, %rax
    CHECK_EQ(%rax, 0x400, dr7)
    set_dr 6, 0xffffffff
    movq %dr6, %rax
    CHECK_MASK(%rax, 0xffffefff, 0xffffefff, dr6 bit 12 stays 0)
    set_dr 6, ONES
    SET(%rax, 0x100000000|ONES)
    FAULT_CODE(13, 0, "movq %rax, %dr6")
    SET(%rax, 0x100000400)
    FAULT_CODE(13, 0, "movq %rax, %dr7")
    set_dr 0, 0x8123456789abcdef
    movq %dr0, %rax
    CHECK_EQ(%rax, 0x8123456789abcdef, dr0)
    set_dr 0, 0
    USER_FAULT(13, 0, "movq %dr7, %rax")
    // DR4 and DR5 are DR6 and DR7 without CR4.DE, undefined with it
    .byte 0x0f, 0x21, 0xe8 // mov %dr5, %rax
    CHECK_EQ(%rax, 0x400, dr5 is dr7)
    set_cr 4, 8
    FAULT(6, ".byte 0x0f; .byte 0x21; .byte 0xe8")
    clear_cr 4, 8

    // --- TF: after the next instruction; DR6.BS; flags saved with TF ---
    ON_FAULT(1f)
    step_on
2:  incl %ebx
3:  incl %ebx
1:  movq %dr6, %rax
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 1, single step)
    CHECK_EQ(cpu_fault+FAULT_RIP, 3b, single step: after one instruction)
    CHECK_EQ(%rax, ONES|BS, single step: dr6)
    CHECK_MASK(cpu_fault+FAULT_FLAGS, TF, TF, single step: TF is saved)
    set_dr 6, ONES
    // a branch; a REP string instruction traps after each round
    ON_FAULT(1f)
    step_on
2:  jmp 3f
    nop
3:  nop
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 3b, single step over a branch)
    movl $3, %ecx
    movl $cpu_operand, %edi
    ON_FAULT(1f)
    step_on
2:  rep stosb
    nop
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 2b, single step of rep: at the instruction)
    CHECK_EQ(%rcx, 2, single step of rep: one round)
    // a fault: no trap besides; POPF that clears TF still traps
    set_dr 6, ONES
    ON_FAULT(1f)
    step_on
2:  ud2
1:  movq %dr6, %rax
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 6, single step of a fault)
    CHECK_EQ(%rax, ONES, single step of a fault: no BS)
    pushq $2
    ON_FAULT(1f)
    step_on
2:  popfq
3:  nop
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 3b, popf that clears TF traps)
    CHECK_MASK(cpu_fault+FAULT_FLAGS, 0, TF, popf that clears TF: TF saved as 0)
    // INT n clears TF: no trap in the handler; PUSHF shows TF
    ON_FAULT(1f)
    step_on
2:  pushfq
3:  nop
1:  popq %rax
    CHECK_MASK(%rax, TF, TF, pushf under TF)

    // --- MOV SS and POP SS: the trap comes one instruction later ---
    movl %ss, %ecx
    set_dr 6, ONES
    ON_FAULT(1f)
    step_on
2:  movl %ecx, %ss
    nop
3:  nop
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 3b, mov ss shields the next from the trap)

    // --- instruction breakpoint: a fault, before; RF goes past it ---
    set_dr 6, ONES
    leaq 2f(%rip), %rax
    movq %rax, %dr1
    set_dr 7, 0x404 // L1, execution
    SET(%rbx, 5)
    ON_FAULT(1f)
    nop
2:  incl %ebx
1:  movq %dr6, %rax
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 1, instruction breakpoint)
    CHECK_EQ(cpu_fault+FAULT_RIP, 2b, instruction breakpoint: rip)
    CHECK_EQ(%rbx, 5, instruction breakpoint: before it)
    CHECK_EQ(%rax, ONES|2, instruction breakpoint: dr6)
    CHECK_MASK(cpu_fault+FAULT_FLAGS, RF, RF, instruction breakpoint: RF in its flags)
    NO_FAULT
    movq %rsp, %rdx // once more with RF: runs
    pushq $SEL_CODE_DATA
    pushq %rdx
    pushq $RF|2
    pushq $SEL_CODE
    pushq $2b
    SET(%rbx, 5)
    movq $3f, cpu_fault+FAULT_RESUME
    jmp 4f
4:  set_dr 6, ONES
    leaq 5f(%rip), %rax
    movq %rax, %dr1
    movq %rax, (%rsp)
    movq $-1, cpu_fault+FAULT_VECTOR
    iretq
5:  incl %ebx
3:  NO_FAULT
    CHECK_EQ(cpu_fault+FAULT_VECTOR, -1, RF: no breakpoint)
    CHECK_EQ(%rbx, 6, RF: the instruction runs)
    pushfq
    popq %rax
    CHECK_MASK(%rax, 0, RF, RF is off again)

    // --- data breakpoints: traps, after ---
    set_dr 6, ONES
    set_dr 0, cpu_operand+8
    set_dr 7, 0xd0401 // L0, write, 4 bytes
    ON_FAULT(1f)
    movl cpu_operand+8, %eax // a read does not
    movl %eax, cpu_operand+4
2:  movb %al, cpu_operand+11
3:  nop
    nop
1:  movq %dr6, %rax
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 1, write breakpoint)
    CHECK_EQ(cpu_fault+FAULT_RIP, 3b, write breakpoint: after the write)
    CHECK_EQ(%rax, ONES|1, write breakpoint: dr6)
    set_dr 6, ONES
    set_dr 7, 0xf0401 // read or write
    ON_FAULT(1f)
    movq cpu_operand+4, %rax // overlaps
3:  nop
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 3b, access breakpoint)
    set_dr 6, ONES
    movl $cpu_operand, %edi
    movl $8, %ecx
    ON_FAULT(1f)
2:  rep stosl
    nop
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 2b, access breakpoint in rep: at the instruction)
    CHECK_EQ(%rcx, 5, access breakpoint in rep: the third round)
    // MOV SS also defers a data breakpoint
    set_dr 7, 0x400
    movl %ss, %ecx
    movl %ecx, cpu_operand+8
    set_dr 6, ONES
    set_dr 7, 0xf0401
    ON_FAULT(1f)
    mov cpu_operand+8, %ss
    nop
3:  nop
1:  CHECK_EQ(cpu_fault+FAULT_RIP, 3b, mov ss from a watched place)
    // not enabled: nothing, though the condition of DR6 may be noted
    set_dr 7, 0xf0400
    movl cpu_operand+8, %eax

    // --- GD: the next access to a debug register is #DB, and GD goes off ---
    set_dr 6, ONES
    set_dr 7, 0x2400
    ON_FAULT(1f)
2:  movq %dr0, %rax
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 1, GD)
    CHECK_EQ(cpu_fault+FAULT_RIP, 2b, GD: a fault)
    movq %dr7, %rax
    CHECK_EQ(%rax, 0x400, GD is off)
    movq %dr6, %rax
    CHECK_EQ(%rax, ONES|BD, GD: dr6)
    set_dr 6, ONES
    set_dr 7, 0x400
    set_dr 1, 0
    set_dr 0, 0
    NO_FAULT
    ret
