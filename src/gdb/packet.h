// SPDX-License-Identifier: MIT
//
// Packets of the gdb remote protocol: bytes in, whole packets out, and back. `$` body `#` checksum,
// `}` before a byte xor 0x20, acknowledged by
// `+` or `-` until both sides do without. Whatever comes in, the memory is this.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 0x2000 /* bytes of a body, as it travels */

enum packet_event {
    PACKET_NONE,      /* more bytes are needed */
    PACKET_READY,     /* body[0..len) */
    PACKET_BAD,       /* checksum wrong, or too long */
    PACKET_INTERRUPT, /* Ctrl-C */
    PACKET_ACK,
    PACKET_NAK,
};

struct packet_in {
    enum { BETWEEN, BODY, SUM_HIGH, SUM_LOW } state;
    uint8_t body[PACKET_MAX + 1]; /* a 0 behind it */
    size_t len;
    uint8_t sum;   /* of the body so far */
    uint8_t told;  /* first digit of the one that was sent */
    bool escaped, wrong;
};

/* Zero-initialise. */
enum packet_event packet_feed(struct packet_in *in, uint8_t byte);

/* A packet on its way out. */
struct packet_out {
    uint8_t bytes[PACKET_MAX + 8];
    size_t len;
    uint8_t sum;
    bool full; /* something did not fit */
};

void packet_begin(struct packet_out *out);
void packet_byte(struct packet_out *out, uint8_t byte); /* escaped where need be */
void packet_text(struct packet_out *out, const char *text);
__attribute__((format(printf, 2, 3))) void packet_print(struct packet_out *out, const char *format,
                                                        ...);
void packet_hex(struct packet_out *out, const void *data, size_t len);
void packet_end(struct packet_out *out);

/* Value of a hexadecimal digit, or -1. */
int packet_digit(int c);
/* Digits at *p, at least one and no more than 16; *p moves behind them. */
bool packet_number(const char **p, uint64_t *out);
/* 2 * len digits into len bytes. */
bool packet_unhex(const char *hex, void *data, size_t len);
