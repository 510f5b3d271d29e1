// SPDX-License-Identifier: MIT
//
// See console_chaos.h. An instruction is one byte and up to eight of arguments; missing bytes are 0.
#include "console_chaos.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "console_rig.h"
#include "util.h"

struct input {
    const uint8_t *data;
    size_t left;
};

static struct console_rig c;
static const uint8_t bytes[512] = "some bytes";

static uint8_t next(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->data++;
}

static uint16_t next16(struct input *in)
{
    uint8_t low = next(in);
    return (uint16_t)(low | next(in) << 8);
}

static void init_once(void)
{
    static bool done;
    if (!done)
        console_rig_init(&c);
    done = true;
}

/* A message, mostly whole. */
static void control(struct input *in)
{
    struct ring *r = &c.ring[CONTROL_TX];
    uint8_t m[8];
    uint8_t slot = next(in) % CONSOLE_RING_SIZE, id = next(in), event = next(in);
    store_le32(m, id < 0xf0 ? id % 5 : 0xffffff00u + id);
    store_le16(m + 4, event < 0xf0 ? event % 9 : 0xff00 + event);
    store_le16(m + 6, next(in) & 3);
    gmem_write(&c.rig.gm, CONSOLE_BUFFER(CONTROL_TX, slot), m, sizeof m);
    ring_desc(r, slot, CONSOLE_BUFFER(CONTROL_TX, slot), id & 0x80 ? next(in) : 8u, 0, 0);
    ring_offer(r, slot);
}

/* A buffer that makes sense. */
static void buffer(struct input *in)
{
    unsigned q = next(in) % CONSOLE_RINGS, slot = next(in) % CONSOLE_RING_SIZE;
    ring_desc(&c.ring[q], slot, CONSOLE_BUFFER(q, slot), next16(in) % 4096,
              q % 2 ? 0 : DESC_WRITE, 0);
    ring_offer(&c.ring[q], (uint16_t)slot);
}

/* A descriptor that need not make sense, offered or not. */
static void descriptor(struct input *in)
{
    struct ring *r = &c.ring[next(in) % CONSOLE_RINGS];
    unsigned slot = next(in) % CONSOLE_RING_SIZE;
    gpa_t addr = (gpa_t)next16(in) << 8;
    uint32_t len = next16(in);
    uint8_t flags = next(in);
    ring_desc(r, slot, flags & 0x80 ? addr << 24 : addr, len << (flags >> 4 & 3), flags & 7,
              next(in) % (CONSOLE_RING_SIZE + 2));
    if (flags & 8)
        ring_offer(r, (uint16_t)(flags & 0x40 ? slot + 60 : slot));
}

static void backend(struct input *in)
{
    uint8_t what = next(in), amount = next(in);
    struct fake_chr *f = &c.chr[what % 3];
    struct chr_client *client = &f->chr.client;
    switch (what >> 4) {
    case 0:
        f->input = bytes;
        f->at = 0;
        f->len = amount * 2u;
        client->readable(client->self);
        break;
    case 1:
        f->room = amount;
        client->writable(client->self);
        break;
    case 2:
        f->room = SIZE_MAX;
        client->writable(client->self);
        break;
    case 3:
        chr_tell_peer(&f->chr, amount & 1);
        break;
    case 4:
        f->cols = amount;
        f->rows = 25;
        client->resized(client->self);
        break;
    default:
        break;
    }
}

static void step(struct input *in)
{
    uint8_t op = next(in);
    switch (op % 8) {
    case 0:
    case 1:
        control(in);
        break;
    case 2:
    case 3:
        buffer(in);
        break;
    case 4:
        descriptor(in);
        break;
    case 5:
        backend(in);
        break;
    case 6:
        port_kick(&c.port, op >> 3 & 15);
        break;
    case 7:
        if (op == 0xff)
            console_rig_start(&c, next(in) & 3);
        else if (op == 0xf7)
            port_set_config(&c.port, next(in) % 16, 1, next(in));
        else
            event_queue_run(&c.rig.events);
        break;
    }
}

static void all_is_well(void)
{
    port_set_status(&c.port, 0);
    for (unsigned q = 0; q < c.vd->nqueues; q++)
        ck_assert_uint_eq(c.vd->vq[q].in_flight, 0);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_le(c.chr[i].at, c.chr[i].len);
        ck_assert(!c.chr[i].guest_open);
        c.chr[i].at = c.chr[i].len = 0;
        c.chr[i].room = SIZE_MAX;
        c.chr[i].chr.peer_gone = false;
        c.chr[i].taken = 0;
    }
    console_rig_start(&c, 2);
    gmem_write(&c.rig.gm, CONSOLE_BUFFER(1, 0), "well", 4);
    ring_desc(&c.ring[1], 0, CONSOLE_BUFFER(1, 0), 4, 0, 0);
    ring_offer(&c.ring[1], 0);
    port_kick(&c.port, 1);
    ck_assert_uint_eq(c.chr[0].taken, 4);
    ck_assert_mem_eq(c.chr[0].output, "well", 4);
    while (event_queue_run(&c.rig.events))
        ;
}

void console_chaos_run(const uint8_t *data, size_t size)
{
    struct input in = {data, size < 2048 ? size : 2048};
    init_once();
    console_rig_start(&c, 3 | (size & 1 ? VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC : 0));
    while (in.left)
        step(&in);
    for (unsigned i = 0; i < 4; i++)
        event_queue_run(&c.rig.events);
    all_is_well();
}
