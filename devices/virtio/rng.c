// SPDX-License-Identifier: MIT
//
// The entropy device (virtio 1.2 section 5.4): buffers come back filled with random bytes. A driver
// gets at most 4 KiB a buffer, however large, and a bounded number of buffers before others have
// their turn. If the host has nothing yet (early in its own boot), a buffer waits and is tried
// again by a timer.
#include "devices/virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "log.h"
#include "util.h"

#define DEVICE_ID_ENTROPY 4
#define QUEUE_SIZE 64
#define BYTES_MAX 4096
#define BUFFERS_MAX 32 /* a turn */
#define RETRY_NS 10000000ull

struct virtio_rng {
    struct virtio vd;
    struct entropy entropy;
    struct timer retry;
    struct clock *clock;
    struct virtq_chain *waiting;
};

static struct virtio_rng *from_virtio(struct virtio *vd)
{
    return container_of(vd, struct virtio_rng, vd);
}

/* --- sources --- */

static size_t host_get(void *self, void *buf, size_t len)
{
    (void)self;
    ssize_t n = getrandom(buf, len, GRND_NONBLOCK);
    return n > 0 ? (size_t)n : 0;
}

const struct entropy entropy_host = {host_get, NULL};

/* splitmix64: good to look at, no secret. */
static size_t seeded_get(void *self, void *buf, size_t len)
{
    struct entropy_seeded *s = self;
    for (size_t done = 0; done < len; done += 8) {
        uint64_t z = s->state += 0x9e3779b97f4a7c15ull;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        z ^= z >> 31;
        memcpy((uint8_t *)buf + done, &z, len - done < 8 ? len - done : 8);
    }
    return len;
}

struct entropy entropy_seeded_init(struct entropy_seeded *s, uint64_t seed)
{
    s->state = seed;
    return (struct entropy){seeded_get, s};
}

/* --- the device --- */

/* Answer a buffer; false: there is no entropy now. */
static bool answer(struct virtio_rng *dev, struct virtq_chain *chain)
{
    uint8_t buf[BYTES_MAX];
    size_t want = chain->write_bytes < sizeof buf ? (size_t)chain->write_bytes : sizeof buf;
    size_t n = want ? dev->entropy.get(dev->entropy.self, buf, want) : 0;
    if (want && !n)
        return false;
    if (!want)
        log_guest("virtio-rng: a buffer without room");
    virtq_push(chain, (uint32_t)chain_write(chain, 0, buf, n));
    return true;
}

static void serve(struct virtio_rng *dev)
{
    struct virtq *vq = &dev->vd.vq[0];
    unsigned budget = BUFFERS_MAX;
    do {
        while (budget && (dev->waiting || virtq_pop(vq, &dev->waiting) > 0)) {
            if (!answer(dev, dev->waiting)) {
                timer_arm(&dev->retry, clock_now_ns(dev->clock) + RETRY_NS);
                goto out;
            }
            dev->waiting = NULL;
            budget--;
        }
    } while (budget && virtq_enable_kick(vq));
    if (!budget)
        virtq_kick_again(vq);
out:
    virtq_notify(vq);
}

static void rng_notify(struct virtio *vd, unsigned q)
{
    (void)q;
    serve(from_virtio(vd));
}

static void rng_retry(void *self)
{
    serve(self);
}

static void rng_reset(struct virtio *vd)
{
    struct virtio_rng *dev = from_virtio(vd);
    timer_cancel(&dev->retry);
    if (dev->waiting)
        virtq_push(dev->waiting, 0);
    dev->waiting = NULL;
}

static void rng_fini(struct virtio *vd)
{
    rng_reset(vd);
    virtio_fini(vd);
    free(from_virtio(vd));
}

static const struct virtio_ops rng_ops = {
    .name = "virtio-rng",
    .device_id = DEVICE_ID_ENTROPY,
    .notify = rng_notify,
    .reset = rng_reset,
    .fini = rng_fini,
};

struct virtio *virtio_rng_create(const struct entropy *entropy, struct clock *clock,
                                 struct gmem *gmem, struct err *err)
{
    struct virtio_rng *dev = calloc(1, sizeof *dev);
    if (!dev) {
        err_set(err, ENOMEM, "virtio-rng: no memory for the device");
        return NULL;
    }
    dev->entropy = *entropy;
    dev->clock = clock;
    timer_init(&dev->retry, clock, rng_retry, dev);
    if (virtio_init(&dev->vd, &rng_ops, gmem, 0, 1, QUEUE_SIZE, NULL, 0, err)) {
        free(dev);
        return NULL;
    }
    return &dev->vd;
}
