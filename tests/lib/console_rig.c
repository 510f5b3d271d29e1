// SPDX-License-Identifier: MIT
//
// See console_rig.h.
#include "console_rig.h"

#include <check.h>
#include <string.h>

#include "util.h"

static size_t fake_read(struct chr *chr, uint8_t *buf, size_t len)
{
    struct fake_chr *f = (struct fake_chr *)chr;
    size_t n = f->len - f->at < len ? f->len - f->at : len;
    if (n)
        memcpy(buf, f->input + f->at, n);
    f->at += n;
    return n;
}

static size_t fake_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct fake_chr *f = (struct fake_chr *)chr;
    size_t n = len < f->room ? len : f->room;
    for (size_t i = 0; i < n && f->taken + i < sizeof f->output; i++)
        f->output[f->taken + i] = buf[i];
    f->taken += n;
    if (f->room != SIZE_MAX)
        f->room -= n;
    return n;
}

static bool fake_size(struct chr *chr, unsigned *cols, unsigned *rows)
{
    const struct fake_chr *f = (struct fake_chr *)chr;
    *cols = f->cols;
    *rows = f->rows;
    return f->cols != 0;
}

static void fake_guest_open(struct chr *chr, bool open)
{
    struct fake_chr *f = (struct fake_chr *)chr;
    f->guest_open = open;
    f->closed |= !open;
}

static const struct chr_ops fake_ops = {
    .read = fake_read,
    .write = fake_write,
    .size = fake_size,
    .guest_open = fake_guest_open,
};

static void fake_chr_init(struct fake_chr *f)
{
    memset(f, 0, sizeof *f);
    f->chr = (struct chr){.name = "fake", .ops = &fake_ops};
    f->room = SIZE_MAX;
}

void console_rig_init(struct console_rig *c)
{
    struct err err = {{0}};
    rig_init(&c->rig, false);
    for (unsigned i = 0; i < 3; i++)
        fake_chr_init(&c->chr[i]);
    const struct virtio_console_port ports[] = {
        {0, true, NULL, &c->chr[0].chr},
        {1, false, "one", &c->chr[1].chr},
        {2, false, NULL, &c->chr[2].chr},
    };
    c->vd = virtio_console_create(ports, 3, 3, &c->rig.gm, &err);
    ck_assert_msg(c->vd, "%s", err.msg);
    port_init_mmio(&c->port, &c->rig, c->vd, CONSOLE_BASE);
    for (unsigned q = 0; q < CONSOLE_RINGS; q++)
        ring_init(&c->ring[q], &c->rig.gm, 0x10000 + q * RING_STRIDE, CONSOLE_RING_SIZE);
}

void console_rig_fini(struct console_rig *c)
{
    port_fini(&c->port);
    rig_fini(&c->rig);
}

void console_rig_start(struct console_rig *c, uint64_t features)
{
    const uint32_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;
    port_set_status(&c->port, 0);
    port_set_status(&c->port, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    port_accept(&c->port, features | VIRTIO_F_VERSION_1);
    port_set_status(&c->port, status);
    ck_assert_uint_eq(port_status(&c->port), status);
    for (unsigned q = 0; q < CONSOLE_RINGS; q++) {
        ring_init(&c->ring[q], &c->rig.gm, c->ring[q].desc, CONSOLE_RING_SIZE);
        port_queue(&c->port, q, &c->ring[q]);
    }
    port_set_status(&c->port, status | VIRTIO_DRIVER_OK);
}
