// SPDX-License-Identifier: MIT
//
// Packets of the gdb remote protocol; see packet.h. Run-length encoding is something that a stub
// may use and a client never does: left out.
#include "src/gdb/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int packet_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool packet_number(const char **p, uint64_t *out)
{
    unsigned n = 0;
    *out = 0;
    for (int d; (d = packet_digit(**p)) >= 0; (*p)++, n++)
        *out = *out << 4 | (uint64_t)d;
    return n >= 1 && n <= 16;
}

bool packet_unhex(const char *hex, void *data, size_t len)
{
    uint8_t *to = data;
    for (size_t n = 0; n < len; n++) {
        int high = packet_digit(hex[2 * n]);
        int low = high < 0 ? -1 : packet_digit(hex[2 * n + 1]);
        if (low < 0)
            return false;
        to[n] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* --- in --- */

static void begin(struct packet_in *in)
{
    in->state = BODY;
    in->len = 0;
    in->sum = 0;
    in->escaped = in->wrong = false;
}

static enum packet_event between(struct packet_in *in, uint8_t byte)
{
    switch (byte) {
    case '$':
        begin(in);
        return PACKET_NONE;
    case '+':
        return PACKET_ACK;
    case '-':
        return PACKET_NAK;
    case 3:
        return PACKET_INTERRUPT;
    default:
        return PACKET_NONE;
    }
}

static void body(struct packet_in *in, uint8_t byte)
{
    if (byte == '$') { /* the last one was cut off */
        begin(in);
        return;
    }
    if (byte == '#') {
        in->state = SUM_HIGH;
        return;
    }
    in->sum = (uint8_t)(in->sum + byte);
    if (byte == '}' && !in->escaped) {
        in->escaped = true;
        return;
    }
    if (in->len == PACKET_MAX) {
        in->wrong = true;
        return;
    }
    in->body[in->len++] = in->escaped ? byte ^ 0x20 : byte;
    in->escaped = false;
}

static enum packet_event finish(struct packet_in *in, uint8_t byte)
{
    int high = packet_digit(in->told), low = packet_digit(byte);
    in->state = BETWEEN;
    in->body[in->len] = '\0';
    bool ok = !in->wrong && !in->escaped && high >= 0 && low >= 0 && (high << 4 | low) == in->sum;
    return ok ? PACKET_READY : PACKET_BAD;
}

enum packet_event packet_feed(struct packet_in *in, uint8_t byte)
{
    switch (in->state) {
    case BODY:
        body(in, byte);
        return PACKET_NONE;
    case SUM_HIGH:
        in->told = byte;
        in->state = SUM_LOW;
        return PACKET_NONE;
    case SUM_LOW:
        return finish(in, byte);
    default:
        return between(in, byte);
    }
}

/* --- out --- */

static void raw(struct packet_out *out, uint8_t byte)
{
    if (out->len >= PACKET_MAX) {
        out->full = true;
        return;
    }
    out->bytes[out->len++] = byte;
    out->sum = (uint8_t)(out->sum + byte);
}

void packet_begin(struct packet_out *out)
{
    out->bytes[0] = '$';
    out->len = 1;
    out->sum = 0;
    out->full = false;
}

void packet_byte(struct packet_out *out, uint8_t byte)
{
    bool special = byte == '$' || byte == '#' || byte == '}' || byte == '*';
    if (special)
        raw(out, '}');
    raw(out, special ? byte ^ 0x20 : byte);
}

void packet_text(struct packet_out *out, const char *text)
{
    while (*text)
        packet_byte(out, (uint8_t)*text++);
}

void packet_print(struct packet_out *out, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    packet_text(out, text);
}

void packet_hex(struct packet_out *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p = data;
    for (size_t n = 0; n < len; n++) {
        raw(out, (uint8_t)digits[p[n] >> 4]);
        raw(out, (uint8_t)digits[p[n] & 15]);
    }
}

void packet_end(struct packet_out *out)
{
    static const char digits[] = "0123456789abcdef";
    out->bytes[out->len++] = '#';
    out->bytes[out->len++] = (uint8_t)digits[out->sum >> 4];
    out->bytes[out->len++] = (uint8_t)digits[out->sum & 15];
}
