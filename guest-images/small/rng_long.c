// SPDX-License-Identifier: MIT
//
// virtio-rng: buffers come back full, with something in them, and not twice the same.
#include "virtio.h"

static struct vq rings[VQ_MAX];
static struct vblk rng;
static uint32_t words[2][8];

static void fill(uint32_t *buf)
{
    virtio_put(&rng, 0, 0, buf, sizeof words[0], true);
    vblk_notify(&rng, 0);
    CHECK(vblk_poll(&rng, 0, 1, 10000));
    CHECK(virtio_used_len(&rng, 0) == sizeof words[0]);
}

void guest_main(void)
{
    virtio_find_pci(&rng, RNG_SLOT, VIRTIO_ID_ENTROPY, rings);
    vblk_start(&rng, 0, 1, NO_VECTOR);
    fill(words[0]);
    fill(words[1]);
    unsigned same = 0;
    for (unsigned i = 0; i < 8; i++)
        same += words[0][i] == words[1][i];
    CHECK(same < 8);
    if (asked("seeded")) {
        for (unsigned i = 0; i < 8; i++)
            print("%x\n", words[0][i]);
    }
    print("random\n");
}
