// SPDX-License-Identifier: MIT
//
// The virtio console without MULTIPORT: port 0 echoes its input in upper case until an end of
// transmission; then the device is reset in the middle of a wait, and speaks once more.
#include "virtio.h"

static struct vq rings[VQ_MAX];
static struct vblk console;
static uint8_t in[64], out[64];

static void say(const uint8_t *text, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        out[i] = text[i] >= 'a' && text[i] <= 'z' ? (uint8_t)(text[i] - 32) : text[i];
    virtio_put(&console, 1, 0, out, len, false);
    vblk_notify(&console, 1);
    CHECK(vblk_poll(&console, 1, 1, 10000));
}

static void offer(void)
{
    virtio_put(&console, 0, 0, in, sizeof in, true);
    vblk_notify(&console, 0);
}

void guest_main(void)
{
    virtio_find_pci(&console, CONSOLE_SLOT, VIRTIO_ID_CONSOLE, rings);
    vblk_start(&console, 0, 2, NO_VECTOR);
    uint32_t bytes = 0;
    for (bool ended = false; !ended;) {
        offer();
        CHECK(vblk_poll(&console, 0, 1, 20000));
        uint32_t len = virtio_used_len(&console, 0);
        CHECK(len > 0 && len <= sizeof in);
        ended = in[len - 1] == 4;
        say(in, ended ? len - 1 : len);
        bytes += len;
    }
    offer(); /* nothing will come */
    vblk_start(&console, 0, 2, NO_VECTOR);
    say((const uint8_t *)"after the reset\n", 16);
    print("%u bytes\n", bytes);
}
