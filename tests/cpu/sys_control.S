// SPDX-License-Identifier: MIT
//
// Control registers and MSRs: reserved bits, combinations that are refused, #NM and #UD by CR0 and CR4, XCR0, EFER, canonical MSRs, ring 3. SDM vol. 3
// sections 2.5 and 2.6.
#include "cpu_sys.h"

.set PE, 1
.set MP, 2
.set EM, 4
.set TS, 8
.set WP, 0x10000
.set AM, 0x40000
.set NW, 0x20000000
.set CD, 0x40000000
.set PG, 0x80000000

cpu_topic_main:
    // --- CR0 ---
    BAD_CR(0, 0, 1<<32)
    BAD_CR(0, PE, 0)      // paging without protection
    BAD_CR(0, 0, NW)      // NW without CD
    BAD_CR(0, PG, 0)      // leaving paging in 64-bit mode
    movq %cr0, %rbx
    movq %rbx, %rax
    orq $1<<28|1<<20, %rax // reserved bits of the lower half are ignored
    movq %rax, %cr0
    movq %cr0, %rax
    subq %rbx, %rax
    CHECK_EQ(%rax, 0, reserved bits of cr0 do not stick)
    // SMSW, LMSW, CLTS
    SET(%rax, 0x1122334455667788)
    smsw %ax
    movzwl %ax, %edx
    movl %ebx, %ecx
    movzwl %cx, %ecx
    subl %ecx, %edx
    CHECK_EQ(%rdx, 0, smsw)
    movl $8, %ecx // TS on, PE off in the operand
    lmsw %cx
    movq %cr0, %rax
    andl $0xf, %eax
    CHECK_EQ(%rax, 9, lmsw sets TS and does not clear PE)
    clts
    movq %cr0, %rax
    andl $0xf, %eax
    CHECK_EQ(%rax, 1, clts)
    movq %rbx, %cr0

    // --- TS and EM ---
    set_cr 0, TS
    FAULT(7, "fld1")
    FAULT(7, "fwait") // MP is set
    FAULT(7, "movaps %xmm0, %xmm1")
    FAULT(7, "fxsave cpu_scratch")
    FAULT(7, "movq %mm0, %mm1")
    clear_cr 0, MP
    fwait // without MP it does not ask
    FAULT(7, "fnop")
    set_cr 0, MP
    clts
    set_cr 0, EM
    FAULT(7, "fld1")
    FAULT(6, "movaps %xmm0, %xmm1")
    FAULT(6, "paddb %mm0, %mm1")
    FAULT(6, "emms")
    fwait
    clear_cr 0, EM
    set_cr 0, TS
    FAULT(6, ".byte 0x0f; .byte 0x0b") // undefined comes first
    clts

    // --- CR4 ---
    BAD_CR(4, 0, 1<<63)
    BAD_CR(4, 0, 1<<15)
    BAD_CR(4, 0x20, 0)   // PAE off in long mode
    clear_cr 4, 0x200    // OSFXSR
    FAULT(6, "movaps %xmm0, %xmm1")
    FAULT(6, "addsd %xmm0, %xmm1")
    fld1 // x87 is another matter
    fstp %st
    movq %mm0, %mm1
    emms
    set_cr 4, 0x200
    clear_cr 4, 0x400    // OSXMMEXCPT: #UD in the place of #XM
    SET_MXCSR(0x1d80)
    SET_XMM(0, 0x3ff0000000000000, 0)
    SET_XMM(1, 0, 0)
    FAULT(6, "divsd %xmm1, %xmm0")
    set_cr 4, 0x400
    FAULT(19, "divsd %xmm1, %xmm0")
    SET_MXCSR(0x1f80)
    set_cr 4, 4 // TSD
    USER_FAULT(13, 0, "rdtsc")
    rdtsc
    clear_cr 4, 4
    USER_RUNS("rdtsc")
    NEED_UMIP(1f)
    set_cr 4, 0x800
    USER_FAULT(13, 0, "sgdt cpu_operand")
    USER_FAULT(13, 0, "smsw %ax")
    USER_FAULT(13, 0, "str %ax")
    sgdt cpu_operand
    clear_cr 4, 0x800
    USER_RUNS("sgdt cpu_operand")
1:  NEED_FSGSBASE(1f)
    clear_cr 4, 0x10000
    FAULT(6, "rdfsbase %rax")
    set_cr 4, 0x10000
    rdfsbase %rax
1:
    // --- CR2, CR8 ---
    write_cr 2, 0x8123456789abcdef // any value
    movq %cr2, %rax
    CHECK_EQ(%rax, 0x8123456789abcdef, cr2 keeps what is no address)
    write_cr 8, 15
    movq %cr8, %rax
    CHECK_EQ(%rax, 15, cr8)
    movl $16, %eax
    FAULT_CODE(13, 0, "movq %rax, %cr8")
    write_cr 8, 0
    FAULT(6, ".byte 0x0f; .byte 0x20; .byte 0xc8") // CR1
    FAULT(6, ".byte 0x0f; .byte 0x22; .byte 0xe8") // CR5
    FAULT(6, ".byte 0x44; .byte 0x0f; .byte 0x20; .byte 0xc8") // CR9
    SET(%rbx, -1)
    .byte 0x0f, 0x20, 0x03 // MOV from CR with mod 0: still a register, rbx
    andl $1, %ebx
    CHECK_EQ(%rbx, 1, mod is ignored)

    // --- EFER ---
    load_msr 0xc0000080
    movq %rax, %rbx
    andl $0xd01, %eax
    CHECK_EQ(%rax, 0xd01, efer: SCE LME LMA NXE)
    BAD_MSR(0xc0000080, 0xc01)   // LME off with paging
    BAD_MSR(0xc0000080, 0x80000000d01)
    BAD_MSR(0xc0000080, 0xd03)   // bit 1
    store_msr 0xc0000080, 0x101  // LMA is not written
    load_msr 0xc0000080
    andl $0xd01, %eax
    CHECK_EQ(%rax, 0x501, efer: NXE off; LMA stays)
    store_msr 0xc0000080, 0xd01

    // --- other MSRs ---
    BAD_MSR(0xc0000082, 0x8000000000000000)
    BAD_MSR(0xc0000102, 0x0000800000000000)
    BAD_MSR(0xc0000100, 0x0001000000000000)
    BAD_MSR(0x175, 0x8000000000000000)
    BAD_MSR(0x277, 0x0007040600070402) // PAT: type 2
    BAD_MSR(0x12345678, 0)
    movl $0x12345678, %ecx
    FAULT_CODE(13, 0, "rdmsr")
    store_msr 0xc0000102, 0xffff800000000123
    load_msr 0xc0000102
    CHECK_EQ(%rax, 0xffff800000000123, kernel gs base)
    store_msr 0xc0000101, 0x456
    swapgs
    load_msr 0xc0000101
    CHECK_EQ(%rax, 0xffff800000000123, swapgs)
    load_msr 0xc0000102
    CHECK_EQ(%rax, 0x456, swapgs)
    store_msr 0xc0000101, 0
    store_msr 0xc0000102, 0
    SET(%rax, -1)
    SET(%rdx, -1)
    movl $0x277, %ecx
    rdmsr
    shrq $32, %rax
    shrq $32, %rdx
    orq %rax, %rdx
    CHECK_EQ(%rdx, 0, rdmsr zero-extends both)

    // --- XCR0 ---
    NEED_XSAVE(1f)
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $2, %eax
    FAULT_CODE(13, 0, "xsetbv") // x87 cannot be off
    movl $5, %eax
    FAULT_CODE(13, 0, "xsetbv") // AVX without SSE
    movl $1, %edx
    movl $3, %eax
    FAULT_CODE(13, 0, "xsetbv")
    xorl %edx, %edx
    movl $1, %ecx
    FAULT_CODE(13, 0, "xsetbv") // there is no XCR1
    movl $5, %ecx
    FAULT_CODE(13, 0, "xgetbv")
    NEED_AVX(1f)
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $3, %eax
    xsetbv
    FAULT(6, "vmovaps %xmm0, %xmm1")
    movaps %xmm0, %xmm1
    xorl %ecx, %ecx
    movl $7, %eax
    xorl %edx, %edx
    xsetbv
    vmovaps %xmm0, %xmm1
    clear_cr 4, 0x40000 // OSXSAVE
    FAULT(6, "vmovaps %xmm0, %xmm1")
    FAULT(6, "xgetbv")
    movl $1, %eax
    cpuid
    shrl $27, %ecx
    andl $1, %ecx
    CHECK_EQ(%rcx, 0, cpuid follows CR4.OSXSAVE)
    set_cr 4, 0x40000
    set_cr 0, TS
    FAULT(7, "vmovaps %xmm0, %xmm1")
    clts
1:
    // --- ring 3 ---
    USER_FAULT(13, 0, "movq %cr0, %rax")
    USER_FAULT(13, 0, "movq %rax, %cr3")
    USER_FAULT(13, 0, "clts")
    USER_FAULT(13, 0, "hlt")
    USER_FAULT(13, 0, "invlpg cpu_operand")
    USER_FAULT(13, 0, "wbinvd")
    USER_FAULT(13, 0, "rdmsr")
    USER_FAULT(13, 0, "swapgs")
    USER_FAULT(13, 0, "lgdt cpu_operand")
    USER_FAULT(13, 0, "outb %al, $0x80") // no bitmap
    USER_FAULT(13, 0, "cli")
    movq $1f, cpu_fault+FAULT_RESUME
    enter_user 2f, 0x3002
2:  cli
    sti
    pushfq
    popq %rbx
    ud2
1:  CHECK_EQ(cpu_fault+FAULT_VECTOR, 6, cli and sti with IOPL 3)
    CHECK_MASK(%rbx, 0x3200, 0x3200, sti with IOPL 3)
    ret
