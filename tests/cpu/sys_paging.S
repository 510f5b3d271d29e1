// SPDX-License-Identifier: MIT
//
// Paging with four levels: rights by level, WP, NX, reserved bits, accessed and dirty bits, large pages, INVLPG, PCID, SMEP, SMAP, error codes. SDM vol. 3
// chapter 4. The pages used are those at linear 0x10000000, whose table is window_table.
#include "cpu_sys.h"

.set T, window_table
.set NX, 1<<63
.set A, 0x20
.set D, 0x40
.set PF_RESERVED, 8

// Entry `page` of the window: frame of window_pages[frame] with these bits.
.macro map page, frame, bits
    movabsq $\bits, %rax
    leaq window_pages+4096*\frame(%rip), %rcx
    orq %rcx, %rax
    movq %rax, T+8*(\page)
    invlpg W_RW+4096*(\page)
.endm
#define MAP(page, frame, bits) map page, frame, bits
#define P20 (W_RW+20*4096)

cpu_topic_main:
    // --- rights of ring 0: WP; of ring 3 ---
    MAP(20, 0, 1)                // read-only, supervisor
    movb $1, window_pages
    PAGE_FAULT(P20, PF_PRESENT|PF_WRITE, "movb $2, P20_")
    clear_cr 0, 0x10000
    movb $2, P20_                // without WP ring 0 may
    set_cr 0, 0x10000
    CHECK_MASK(window_pages, 2, 0xff, written without WP)
    movl $P20, %ebx
    USER_FAULT(14, PF_PRESENT|PF_USER, "movb (%rbx), %al")
    USER_FAULT(14, PF_PRESENT|PF_USER|PF_WRITE, "movb %al, (%rbx)")
    MAP(20, 0, 5)                // read-only, user
    USER_RUNS("movb (%rbx), %al")
    USER_FAULT(14, PF_PRESENT|PF_USER|PF_WRITE, "movb %al, (%rbx)")
    USER_FAULT(14, PF_PRESENT|PF_USER|PF_WRITE, "lock cmpxchgb %al, (%rbx)")
    MAP(20, 0, 7)
    USER_RUNS("movb %al, (%rbx)")
    MAP(20, 0, 6)
    USER_FAULT(14, PF_USER, "movb (%rbx), %al")
    CHECK_EQ(cpu_fault+FAULT_CR2, P20, cr2)
    // The directory's bits count too.
    movq pdpt, %rdx
    andq $~0xfff, %rdx
    MAP(20, 0, 7)
    btrq $2, 0x10000000>>21<<3(%rdx)
    movq %cr3, %rax
    movq %rax, %cr3
    USER_FAULT(14, PF_PRESENT|PF_USER, "movb (%rbx), %al")
    btsq $2, 0x10000000>>21<<3(%rdx)
    btrq $1, 0x10000000>>21<<3(%rdx)
    movq %cr3, %rax
    movq %rax, %cr3
    PAGE_FAULT(P20, PF_PRESENT|PF_WRITE, "movb %al, (%rbx)")
    btsq $1, 0x10000000>>21<<3(%rdx)
    movq %cr3, %rax
    movq %rax, %cr3

    // --- accessed and dirty ---
    MAP(20, 0, 7)
    movb (%rbx), %al
    CHECK_MASK(T+8*20, A|7, 0xfff, read sets A)
    movb %al, (%rbx)
    CHECK_MASK(T+8*20, A|D|7, 0xfff, write sets D)
    MAP(20, 0, 7)
    movb (%rbx), %al
    movb %al, (%rbx)             // the translation is cached without D: the write walks again
    CHECK_MASK(T+8*20, A|D|7, 0xfff, write after read sets D)
    MAP(20, 0, 5)
    PAGE_FAULT(P20, PF_PRESENT|PF_WRITE, "movb %al, (%rbx)")
    CHECK_MASK(T+8*20, 5, D|7, a write that faults does not set D)
    MAP(20, 0, 7)
    lock cmpxchgb %cl, (%rbx)
    CHECK_MASK(T+8*20, D, D, cmpxchg sets D)

    // --- NX and reserved bits ---
    movb $0xc3, window_pages     // ret
    MAP(20, 0, 7|NX)
    movb (%rbx), %al
    movq %rsp, %r15
    ON_FAULT(1f)
    call *%rbx
1:  movq %r15, %rsp
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, execution of an NX page)
    CHECK_EQ(cpu_fault+FAULT_ERROR, PF_PRESENT|PF_FETCH, execution of an NX page)
    MAP(20, 0, 7)
    call *%rbx
    MAP(20, 0, 7|1<<51)          // beyond the physical address width
    PAGE_FAULT(P20, PF_PRESENT|PF_RESERVED, "movb (%rbx), %al")
    USER_FAULT(14, PF_PRESENT|PF_RESERVED|PF_USER, "movb (%rbx), %al")
    MAP(20, 0, 6|1<<51)          // not present: the rest does not matter
    PAGE_FAULT(P20, 0, "movb (%rbx), %al")
    movl $0xc0000080, %ecx       // without NXE the NX bit is reserved
    rdmsr
    andl $~0x800, %eax
    wrmsr
    MAP(20, 0, 7|NX)
    PAGE_FAULT(P20, PF_PRESENT|PF_RESERVED, "movb (%rbx), %al")
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x800, %eax
    wrmsr
    MAP(20, 0, 7)
    movb (%rbx), %al

    // --- INVLPG and CR3: a translation changed to less must go ---
    MAP(20, 0, 7)
    MAP(21, 1, 7)
    movl $0x11111111, window_pages
    movl $0x22222222, window_pages+4096
    movl (%rbx), %eax
    movq T+8*21, %rcx
    movq %rcx, T+8*20
    invlpg (%rbx)
    movl (%rbx), %eax
    CHECK_EQ(%rax, 0x22222222, invlpg)
    MAP(20, 0, 7)
    movl (%rbx), %eax
    movq $0, T+8*20
    movq %cr3, %rax
    movq %rax, %cr3
    PAGE_FAULT(P20, 0, "movb (%rbx), %al")
    SET(%rax, 0x8000000000000000)
    invlpg (%rax)                // not canonical: nothing happens
    // From not present to present needs no flush.
    leaq window_pages+7(%rip), %rax
    movq %rax, T+8*20
    movl (%rbx), %eax
    CHECK_EQ(%rax, 0x11111111, a page that appears)

    // --- a large page in the same place: its offset, its reserved bits ---
    movq pdpt, %rdx
    andq $~0xfff, %rdx
    movq 0x10200000>>21<<3(%rdx), %rsi
    leaq window_pages(%rip), %rax
    movq %rax, %rdi
    andq $~0x1fffff, %rax
    andq $0x1fffff, %rdi
    orq $0x83, %rax
    movq %rax, 0x10200000>>21<<3(%rdx)
    movq %cr3, %rcx
    movq %rcx, %cr3
    movl 0x10200000(%rdi), %eax
    CHECK_EQ(%rax, 0x11111111, 2 MiB page)
    btsq $13, 0x10200000>>21<<3(%rdx)
    invlpg 0x10200000
    PAGE_FAULT(0x10200000, PF_PRESENT|PF_RESERVED, "movb 0x10200000, %al")
    movq %rsi, 0x10200000>>21<<3(%rdx)
    invlpg 0x10200000

    // --- SMEP, SMAP ---
    MAP(20, 0, 7)
    movb $0xc3, window_pages
    NEED_SMEP(1f)
    // The tests themselves lie in user pages: the trap must come at once, and its handler's pages are user pages too.
    // So the code that switches SMEP on runs from pages without U: those of the first 2 MiB.
    movl $P20, %ebx
    movq pdpt, %rdx
    andq $~0xfff, %rdx
    andq $~4, (%rdx)
    movq %cr3, %rax
    movq %rax, %cr3
    set_cr 4, 0x100000
    movq %rsp, %r15
    ON_FAULT(2f)
    call *%rbx
2:  movq %r15, %rsp
    clear_cr 4, 0x100000
    CHECK_EQ(cpu_fault+FAULT_VECTOR, 14, SMEP)
    CHECK_EQ(cpu_fault+FAULT_ERROR, PF_PRESENT|PF_FETCH, SMEP)
    NEED_SMAP(1f)
    movl $P20, %ebx
    set_cr 4, 0x200000
    PAGE_FAULT(P20, PF_PRESENT, "movb (%rbx), %al")
    PAGE_FAULT(P20, PF_PRESENT|PF_WRITE, "movb %al, (%rbx)")
    stac
    movb (%rbx), %al
    clac
    PAGE_FAULT(P20, PF_PRESENT, "movb (%rbx), %al")
    SET_FLAGS(AC)
    movb (%rbx), %al
    SET_FLAGS(0)
    clear_cr 4, 0x200000
1:  movq pdpt, %rdx
    andq $~0xfff, %rdx
    orq $4, (%rdx)
    movq %cr3, %rax
    movq %rax, %cr3

    // --- PCID: CR3's bit 63 keeps translations; other ids do not see them ---
    NEED_PCID(1f)
    movl $P20, %ebx
    movq %cr3, %r12
    movq %cr4, %rax
    movq %rax, %r13
    btsq $17, %rax
    movq %rax, %cr4
    MAP(20, 0, 7)
    movl $0x11111111, window_pages
    leaq 1(%r12), %r14
    movq %r14, %cr3              // id 1
    movl (%rbx), %eax
    CHECK_EQ(%rax, 0x11111111, id 1)
    movq %r12, %cr3
    movq %r13, %cr4
    // PCIDE cannot be set while CR3 has an id
    orq $5, %r12
    movq %r12, %cr3
    movq %r13, %rax
    btsq $17, %rax
    FAULT_CODE(13, 0, "movq %rax, %cr4")
    andq $~5, %r12
    movq %r12, %cr3
    // without PCIDE bit 63 of CR3 is reserved
    movq %r12, %rax
    btsq $63, %rax
    FAULT_CODE(13, 0, "movq %rax, %cr3")
1:  NEED_INVPCID(1f)
    movl $4, %eax
    movq $0, cpu_operand
    movq $0, cpu_operand+8
    FAULT_CODE(13, 0, "invpcid cpu_operand, %rax") // type 4
    movl $2, %eax
    invpcid cpu_operand, %rax
    movq $0x1000, cpu_operand
    FAULT_CODE(13, 0, "invpcid cpu_operand, %rax") // reserved bits of the descriptor
1:  NO_FAULT
    ret
.set P20_, W_RW+20*4096
