// SPDX-License-Identifier: MIT
//
// The world of a CPU test as a guest: selectors (those of Linux, so that ring 3 looks as it does natively), and the pages that
// sys_<topic>.S tests may use. For C and assembly.
#pragma once

#define SEL_CODE 0x10
#define SEL_CODE_DATA 0x18
#define SEL_USER_CODE32 0x23
#define SEL_USER_DATA 0x2b
#define SEL_USER_CODE 0x33
#define SEL_TSS 0x40 /* 16 bytes */
#define SEL_FREE 0x50 /* tests make their own from here to 0xf8 */

#ifdef __ASSEMBLER__
/* guest_gdt, guest_idt (256 gates of 16 bytes), guest_tss (104 bytes, then the bitmap's end), window_table (512 entries of
 * linear 0x10000000), pml4 */
#else
#include <stdint.h>

struct trap_frame {
    uint64_t ax, cx, dx, bx, bp, si, di, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

extern uint8_t trap_stubs[256][16], guest_service_at[];
extern uint64_t guest_gdt[32], guest_idt[256][2];
void guest_trap(struct trap_frame *f);
void guest_service(const char *text, unsigned len, bool good);
void reload_segments(const void *gdt_pointer);
_Noreturn void enter_ring3(void);
_Noreturn void enter_ring0(void);
#endif
