// SPDX-License-Identifier: MIT
//
// A small AML writer (ACPI 6.4 chapter 20): appends encoded terms to a buffer of the caller's.
// Constructs with a length (scope, device, package, resource template ...) are opened, filled and
// closed; the length is put in when they close, in its shortest form. Raw little-endian integers
// serve the data tables as well. When the buffer is full, or nesting is wrong, `failed` is set
// and stays; ask once at the end.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AML_DEPTH 16

struct aml {
    uint8_t *buf;
    size_t cap, len;
    bool failed;
    unsigned depth;
    struct {
        size_t start; /* where the length goes: the byte after the opcode */
        bool resources;
    } open[AML_DEPTH];
};

void aml_init(struct aml *a, void *buf, size_t cap);

/* Raw bytes. */
void aml_bytes(struct aml *a, const void *data, size_t len);
void aml_u8(struct aml *a, uint8_t v);
void aml_u16(struct aml *a, uint16_t v);
void aml_u32(struct aml *a, uint32_t v);
void aml_u64(struct aml *a, uint64_t v);

/*
 * Data: the shortest integer, a string, a compressed EISA id ("PNP0C02"), a buffer of given
 * bytes.
 */
void aml_int(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
void aml_eisaid(struct aml *a, const char *id);
void aml_buffer(struct aml *a, const void *data, size_t len);

/* A name: "\\_SB_.PCI0", "^X", "UID"; segments are padded with underscores. */
void aml_path(struct aml *a, const char *path);

/* Name (path, <the data that follows>). */
void aml_name(struct aml *a, const char *path);

/* Each until aml_close. */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *path);
void aml_method(struct aml *a, const char *path, unsigned nargs, bool serialized);
void aml_package(struct aml *a, uint8_t nelements);
void aml_if(struct aml *a); /* the predicate follows */
void aml_resources(struct aml *a); /* ResourceTemplate; the end tag comes by itself */
void aml_close(struct aml *a);

/* One-byte operators of method bodies; operands follow in prefix order. */
enum aml_op {
    AML_ARG0 = 0x68,
    AML_ARG3 = 0x6b,
    AML_OR = 0x7d,
    AML_CREATE_DWORD_FIELD = 0x8a,
    AML_EQUAL = 0x93,
    AML_RETURN = 0xa4,
};
void aml_op(struct aml *a, enum aml_op op);

/*
 * Resource descriptors (ACPI 6.4 section 6.4), inside aml_resources. Ranges are fixed and decoded
 * positively.
 */
void aml_res_io(struct aml *a, uint16_t base, uint8_t len);
void aml_res_irq(struct aml *a, unsigned irq);              /* ISA: edge, active high, exclusive */
void aml_res_gsi_level_high(struct aml *a, uint32_t gsi);   /* consumer, exclusive */
void aml_res_memory32(struct aml *a, uint32_t base, uint32_t len);
void aml_res_bus_window(struct aml *a, uint16_t first, uint16_t last);
void aml_res_io_window(struct aml *a, uint16_t first, uint16_t last);
void aml_res_memory_window(struct aml *a, uint32_t first, uint32_t last);
