// SPDX-License-Identifier: MIT
//
// What the files of the local APIC share: registers by number (MMIO offset / 16, which is MSR -
// 0x800), and the functions of each file.
#pragma once

#include "devices/lapic.h"

enum lapic_reg {
    REG_ID = 0x02,
    REG_VERSION = 0x03,
    REG_TPR = 0x08,
    REG_APR = 0x09,
    REG_PPR = 0x0a,
    REG_EOI = 0x0b,
    REG_RRD = 0x0c,
    REG_LDR = 0x0d,
    REG_DFR = 0x0e,
    REG_SVR = 0x0f,
    REG_ISR = 0x10,
    REG_TMR = 0x18,
    REG_IRR = 0x20,
    REG_ESR = 0x28,
    REG_ICR = 0x30,
    REG_ICR_HIGH = 0x31,
    REG_LVT = 0x32,
    REG_LVT_LAST = REG_LVT + LVT_COUNT - 1,
    REG_INITIAL = 0x38,
    REG_CURRENT = 0x39,
    REG_DIVIDE = 0x3e,
    REG_SELF_IPI = 0x3f,
};

#define SVR_ENABLE (1u << 8)
#define SVR_WRITABLE 0x3ffu
#define DIVIDE_WRITABLE 0xbu
#define LVT_MASKED (1u << 16)
#define LVT_LEVEL (1u << 15)
#define LVT_REMOTE_IRR (1u << 14)
#define LVT_STATUS (1u << 12)

#define ICR_LOGICAL (1u << 11)
#define ICR_ASSERT (1u << 14)
#define ICR_LEVEL (1u << 15)
#define ICR_SELF (1u << 18)

#define FIRST_VECTOR 16

enum lapic_error {
    ESR_SEND_ILLEGAL_VECTOR = 1 << 5,
    ESR_RECEIVE_ILLEGAL_VECTOR = 1 << 6,
    ESR_ILLEGAL_REGISTER = 1 << 7,
};

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE, TIMER_RESERVED };

static inline bool lapic_is_present(const struct lapic *l)
{
    return l->regs.apic_base & APIC_BASE_EN;
}

static inline bool lapic_is_x2apic(const struct lapic *l)
{
    return l->regs.apic_base & APIC_BASE_EXTD;
}

static inline bool lapic_has_deadline(const struct lapic *l)
{
    return l->wires->tsc.to_ns && l->wires->tsc.from_ns;
}

/* --- lapic.c --- */

/* Registers by number. False: there is none. Reserved bits of writes are dropped. */
bool lapic_register_read(struct lapic *l, unsigned reg, uint32_t *val);
bool lapic_register_write(struct lapic *l, unsigned reg, uint32_t val);
uint32_t lapic_lvt_writable(const struct lapic *l, unsigned lvt);

/* As INIT does: registers only, nothing is told to the CPU. The base address and mode stay. */
void lapic_reset_registers(struct lapic *l);

/* --- lapic_vector.c --- */

/* After any change of what lapic_pending() depends on. */
void lapic_update(struct lapic *l);
uint8_t lapic_processor_priority(const struct lapic_regs *r);

/* Request a vector. False: it is none for interrupts. */
bool lapic_accept(struct lapic *l, uint8_t vector, bool level);
void lapic_end_of_interrupt(struct lapic *l);

/* An interrupt of the local vector table that is an edge. */
void lapic_local_interrupt(struct lapic *l, unsigned lvt);

/* For ESR; an error that is new since its last write interrupts. */
void lapic_report_error(struct lapic *l, enum lapic_error error);

/* --- lapic_pin.c --- */

/* A request of the 8259 pair reaches the CPU. */
bool lapic_extint_pending(const struct lapic *l);

/* After any change of a pin's level or entry: a level-triggered one interrupts while it is high. */
void lapic_serve_level_pin(struct lapic *l, unsigned pin);

/* EOI of a level-triggered vector: pins that are still high interrupt again. */
void lapic_pins_end(struct lapic *l, uint8_t vector);

/* --- lapic_message.c --- */

/* Do what an interrupt command says. The register is the caller's. */
void lapic_command(struct lapic *l, uint64_t icr);
void lapic_take_init(struct lapic *l);
uint32_t lapic_x2apic_ldr(const struct lapic *l);

/* --- lapic_timer.c --- */
void lapic_timer_init(struct lapic *l);
void lapic_timer_reset(struct lapic *l);
uint32_t lapic_timer_current(struct lapic *l);
void lapic_timer_write_initial(struct lapic *l, uint32_t val);
void lapic_timer_write_divide(struct lapic *l, uint32_t val);
void lapic_timer_write_lvt(struct lapic *l, uint32_t val);
uint64_t lapic_timer_deadline(struct lapic *l);
void lapic_timer_write_deadline(struct lapic *l, uint64_t tsc);
