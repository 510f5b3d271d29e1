// SPDX-License-Identifier: MIT
//
// The split virtqueue (virtio 1.2 section 2.7), device side: descriptor chains with one level of
// indirection, event index. The driver may rewrite the rings at any moment, so an index or a
// descriptor is read once, into a local, and only the local is checked and used. A chain lives in a
// slot named by its head, which makes "one head twice" a look at the slot and bounds what is in
// flight by the queue size.
// Left out: packed rings, in-order completion, queue reset, notification data.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "util.h"
#include "virtio.h"

#define DESC_F_NEXT 1
#define DESC_F_WRITE 2
#define DESC_F_INDIRECT 4

#define AVAIL_F_NO_INTERRUPT 1
#define USED_F_NO_NOTIFY 1

#define DESC_BYTES 16
#define FIRST_CAP 8 /* elements a slot has room for at first; doubled when a chain needs more */

struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

/* --- ring memory --- */

/* One copy, which the compiler may not replace by a second look at guest memory. */
static struct desc desc_fetch(const uint8_t *table, uint32_t i)
{
    struct desc d;
    memcpy(&d, table + (size_t)i * DESC_BYTES, DESC_BYTES);
    __asm__ volatile("" : "+m"(d));
    return d;
}

static uint16_t ring_load(const uint8_t *ring, size_t off, int order)
{
    return __atomic_load_n((const uint16_t *)(const void *)(ring + off), order);
}

static void used_store16(struct virtq *vq, size_t off, uint16_t v, int order)
{
    __atomic_store_n((uint16_t *)(void *)(vq->used_host + off), v, order);
    gmem_wrote(vq->vd->gmem, vq->regs.used + off, sizeof v);
}

/* Acquire: what the driver wrote before it raised the index is visible after this. */
static uint16_t avail_idx(const struct virtq *vq)
{
    return ring_load(vq->avail_host, 2, __ATOMIC_ACQUIRE);
}

static uint16_t avail_flags(const struct virtq *vq)
{
    return ring_load(vq->avail_host, 0, __ATOMIC_RELAXED);
}

static uint16_t used_event(const struct virtq *vq)
{
    return ring_load(vq->avail_host, 4 + 2 * (size_t)vq->regs.size, __ATOMIC_RELAXED);
}

static bool virtq_running(const struct virtq *vq)
{
    return vq->regs.ready && virtio_running(vq->vd);
}

/* --- life --- */

int virtq_init(struct virtq *vq, struct virtio *vd, unsigned index, uint16_t max_size)
{
    *vq = (struct virtq){.vd = vd, .index = index, .max_size = max_size};
    vq->regs.size = max_size;
    vq->chain = calloc(max_size, sizeof *vq->chain);
    if (!vq->chain)
        return -ENOMEM;
    for (unsigned i = 0; i < max_size; i++) {
        vq->chain[i].vq = vq;
        vq->chain[i].head = (uint16_t)i;
    }
    return 0;
}

void virtq_fini(struct virtq *vq)
{
    for (unsigned i = 0; vq->chain && i < vq->max_size; i++) {
        free(vq->chain[i].iov_store);
        free(vq->chain[i].gpa_store);
    }
    free(vq->chain);
    vq->chain = NULL;
}

void virtq_reset(struct virtq *vq)
{
    if (vq->bell.event.queue)
        event_cancel(&vq->bell.event);
    if (vq->in_flight)
        log_warn("%s queue %u: bug: %u requests outlived a reset", vq->vd->ops->name, vq->index,
                 vq->in_flight);
    vq->regs = (struct virtq_regs){.size = vq->max_size};
    vq->desc_host = vq->avail_host = vq->used_host = NULL;
}

/* --- registers --- */

static bool virtq_frozen(const struct virtq *vq)
{
    if (!vq->regs.ready && !(vq->vd->regs.status & VIRTIO_DRIVER_OK))
        return false;
    log_guest("%s queue %u: register written while it is in use, ignored", vq->vd->ops->name,
              vq->index);
    return true;
}

void virtq_set_size(struct virtq *vq, uint32_t size)
{
    if (virtq_frozen(vq))
        return;
    if (!is_power_of_two(size) || size > vq->max_size) {
        log_guest("%s queue %u: size %u is not a power of two up to %u, ignored",
                  vq->vd->ops->name, vq->index, size, vq->max_size);
        return;
    }
    vq->regs.size = (uint16_t)size;
}

void virtq_set_addr(struct virtq *vq, gpa_t *which, unsigned shift, uint32_t val)
{
    if (!virtq_frozen(vq))
        *which = (*which & ~(0xffffffffull << shift)) | (gpa_t)val << shift;
}

/* Find the three areas in RAM: slots never move, so the host addresses hold until reset. */
static bool areas_found(struct virtq *vq)
{
    const struct virtq_regs *r = &vq->regs;
    if (r->desc % 16 || r->avail % 2 || r->used % 4) {
        virtio_broken(vq->vd, "queue %u: ring areas are not aligned", vq->index);
        return false;
    }
    vq->desc_host = gmem_ptr(vq->vd->gmem, r->desc, DESC_BYTES * (uint64_t)r->size);
    vq->avail_host = gmem_ptr(vq->vd->gmem, r->avail, 6 + 2 * (uint64_t)r->size);
    vq->used_host = gmem_ptr(vq->vd->gmem, r->used, 6 + 8 * (uint64_t)r->size);
    if (!vq->desc_host || !vq->avail_host || !vq->used_host) {
        virtio_broken(vq->vd, "queue %u: ring areas are not in RAM", vq->index);
        return false;
    }
    return true;
}

void virtq_set_ready(struct virtq *vq, bool ready)
{
    if (ready == vq->regs.ready)
        return;
    if (vq->vd->regs.status & VIRTIO_DRIVER_OK) {
        log_guest("%s queue %u: switched %s after DRIVER_OK, ignored", vq->vd->ops->name, vq->index,
                  ready ? "on" : "off");
        return;
    }
    vq->regs.ready = ready && areas_found(vq);
}

/* --- taking chains --- */

static int grow(struct virtq_chain *c)
{
    unsigned cap = c->cap ? c->cap * 2 : FIRST_CAP;
    struct iovec *iov = realloc(c->iov_store, cap * sizeof *iov);
    if (iov)
        c->iov = c->iov_store = iov;
    gpa_t *gpa = realloc(c->gpa_store, cap * sizeof *gpa);
    if (gpa)
        c->gpa = c->gpa_store = gpa;
    if (!iov || !gpa)
        return -ENOMEM;
    c->cap = cap;
    return 0;
}

/*
 * Append one buffer; what is wrong with it, or NULL. A buffer of no bytes says nothing and is
 * passed over.
 */
static const char *chain_add(struct virtq *vq, struct virtq_chain *c, const struct desc *d)
{
    bool write = d->flags & DESC_F_WRITE;
    if (!d->len)
        return NULL;
    if (c->read_bytes + c->write_bytes + d->len > UINT32_MAX)
        return "chain of 4 GiB or more";
    if (!write && c->nwrite)
        return "readable buffer after a writable one";
    uint8_t *host = gmem_ptr(vq->vd->gmem, d->addr, d->len);
    if (!host)
        return "buffer not in RAM";
    unsigned n = c->nread + c->nwrite;
    if (n == c->cap && grow(c))
        return "no host memory left for its request";
    c->iov[n] = (struct iovec){.iov_base = host, .iov_len = d->len};
    c->gpa[n] = d->addr;
    if (write) {
        c->nwrite++;
        c->write_bytes += d->len;
    } else {
        c->nread++;
        c->read_bytes += d->len;
    }
    return NULL;
}

/* Where the walk over a chain is. */
struct walk {
    const uint8_t *table;
    uint32_t entries; /* of that table */
    unsigned limit;   /* descriptors the chain may have */
    bool indirect;
};

/* Step into an indirect table; what is wrong with it, or NULL. */
static const char *walk_enter(const struct virtq *vq, struct walk *w, const struct desc *d)
{
    if (!virtio_has(vq->vd, VIRTIO_F_INDIRECT_DESC))
        return "indirect descriptor without the feature";
    if (w->indirect)
        return "indirect table within an indirect table";
    if (d->flags & DESC_F_NEXT)
        return "indirect descriptor with a successor";
    if (!d->len || d->len % DESC_BYTES)
        return "indirect table of a broken size";
    w->table = gmem_ptr(vq->vd->gmem, d->addr, d->len);
    if (!w->table)
        return "indirect table not in RAM";
    w->entries = d->len / DESC_BYTES;
    /*
     * The driver may have shrunk its ring, yet plans requests by the limits that the device gave
     * for the full size.
     */
    w->limit = vq->max_size;
    w->indirect = true;
    return NULL;
}

/* Copy the chain that starts at c->head; what is wrong with it, or NULL. */
static const char *chain_build(struct virtq *vq, struct virtq_chain *c)
{
    struct walk w = {.table = vq->desc_host, .entries = vq->regs.size, .limit = vq->regs.size};
    uint32_t i = c->head;
    unsigned seen = 0;

    c->nread = c->nwrite = 0;
    c->read_bytes = c->write_bytes = 0;
    c->iov = c->iov_store;
    c->gpa = c->gpa_store;
    for (;;) {
        if (i >= w.entries)
            return "descriptor outside its table";
        struct desc d = desc_fetch(w.table, i);
        const char *wrong;
        if (d.flags & DESC_F_INDIRECT) {
            wrong = walk_enter(vq, &w, &d);
            if (wrong)
                return wrong;
            i = 0;
            continue;
        }
        if (++seen > w.limit)
            return "chain longer than the queue, perhaps a loop";
        wrong = chain_add(vq, c, &d);
        if (wrong)
            return wrong;
        if (!(d.flags & DESC_F_NEXT))
            return NULL;
        i = d.next;
    }
}

int virtq_pop(struct virtq *vq, struct virtq_chain **chain)
{
    struct virtq_regs *r = &vq->regs;
    if (!virtq_running(vq))
        return 0;
    uint16_t ahead = (uint16_t)(avail_idx(vq) - r->avail_next);
    if (!ahead)
        return 0;

    const char *wrong = NULL;
    uint16_t head = 0;
    if (ahead > r->size)
        wrong = "available index ran ahead of the queue";
    if (!wrong) {
        size_t slot = r->avail_next & (r->size - 1u);
        head = ring_load(vq->avail_host, 4 + 2 * slot, __ATOMIC_RELAXED);
        if (head >= r->size)
            wrong = "head outside the queue";
        else if (vq->chain[head].busy)
            wrong = "head made available twice";
        else
            wrong = chain_build(vq, &vq->chain[head]);
    }
    if (wrong) {
        virtio_broken(vq->vd, "queue %u, head %u: %s", vq->index, head, wrong);
        return -1;
    }
    r->avail_next++;
    vq->pops++;
    vq->in_flight++;
    vq->chain[head].busy = true;
    *chain = &vq->chain[head];
    return 1;
}

/* --- giving chains back --- */

/* One used element, `ahead` of those that the driver knows of. False: not handed to the driver. */
static bool give_back(struct virtq_chain *chain, uint32_t written, unsigned ahead)
{
    struct virtq *vq = chain->vq;
    if (!chain->busy) {
        log_warn("%s queue %u: bug: request %u completed twice", vq->vd->ops->name, vq->index,
                 chain->head);
        return false;
    }
    chain->busy = false;
    vq->in_flight--;
    if (!virtq_running(vq))
        return false;
    size_t off = 4 + 8 * (size_t)((vq->regs.used_next + ahead) & (vq->regs.size - 1u));
    uint32_t *elem = (uint32_t *)(void *)(vq->used_host + off);
    __atomic_store_n(&elem[0], chain->head, __ATOMIC_RELAXED);
    __atomic_store_n(&elem[1], written, __ATOMIC_RELAXED);
    gmem_wrote(vq->vd->gmem, vq->regs.used + off, 8);
    return true;
}

void virtq_push_all(struct virtq_chain *const *chains, const uint32_t *written, unsigned n)
{
    struct virtq *vq = chains[0]->vq;
    unsigned given = 0;
    for (unsigned i = 0; i < n; i++)
        given += give_back(chains[i], written[i], given);
    if (!given)
        return;
    vq->regs.used_next = (uint16_t)(vq->regs.used_next + given);
    vq->pushes += given;
    /* Release: the buffers and the elements are visible before the index that promises them. */
    used_store16(vq, 2, vq->regs.used_next, __ATOMIC_RELEASE);
}

void virtq_push(struct virtq_chain *chain, uint32_t written)
{
    virtq_push_all(&chain, &written, 1);
}

void virtq_notify(struct virtq *vq)
{
    struct virtq_regs *r = &vq->regs;
    if (!virtq_running(vq) || r->used_next == r->signalled)
        return;
    uint16_t pushed = (uint16_t)(r->used_next - r->signalled);
    r->signalled = r->used_next;
    /*
     * Store used index, then load the driver's wish. The driver does the mirror image, so one of
     * the two sees the other.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    bool wanted;
    if (virtio_has(vq->vd, VIRTIO_F_EVENT_IDX))
        wanted = (uint16_t)(r->used_next - used_event(vq) - 1) < pushed;
    else
        wanted = !(avail_flags(vq) & AVAIL_F_NO_INTERRUPT);
    if (!wanted)
        return;
    vq->interrupts++;
    vq->vd->transport->raise_queue(vq->vd, vq->index);
}

bool virtq_enable_kick(struct virtq *vq)
{
    if (!virtq_running(vq))
        return false;
    if (virtio_has(vq->vd, VIRTIO_F_EVENT_IDX))
        used_store16(vq, 4 + 8 * (size_t)vq->regs.size, vq->regs.avail_next, __ATOMIC_RELAXED);
    else
        used_store16(vq, 0, 0, __ATOMIC_RELAXED);
    /* As in virtq_notify: say what we want to hear of, then look at what we may have missed. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return avail_idx(vq) != vq->regs.avail_next;
}

void virtq_disable_kick(struct virtq *vq)
{
    /* With event index nothing needs doing: the event we asked for last lies behind us. */
    if (virtq_running(vq) && !virtio_has(vq->vd, VIRTIO_F_EVENT_IDX))
        used_store16(vq, 0, USED_F_NO_NOTIFY, __ATOMIC_RELAXED);
}

void virtq_kick_again(struct virtq *vq)
{
    event_post(&vq->bell.event);
}

/* --- contents of a chain --- */

struct span {
    const struct iovec *iov;
    const gpa_t *gpa;
    unsigned n;
};

/* Copy between a buffer and bytes [off, off+len) of a span; to_guest tells the direction. */
static size_t span_copy(struct gmem *gm, struct span s, uint64_t off, void *buf, size_t len,
                        bool to_guest)
{
    size_t done = 0;
    for (unsigned i = 0; i < s.n && done < len; i++) {
        if (off >= s.iov[i].iov_len) {
            off -= s.iov[i].iov_len;
            continue;
        }
        uint8_t *host = (uint8_t *)s.iov[i].iov_base + off;
        size_t part = s.iov[i].iov_len - off;
        if (part > len - done)
            part = len - done;
        if (to_guest) {
            memcpy(host, (uint8_t *)buf + done, part);
            gmem_wrote(gm, s.gpa[i] + off, part);
        } else {
            memcpy((uint8_t *)buf + done, host, part);
        }
        done += part;
        off = 0;
    }
    return done;
}

static struct span written_span(const struct virtq_chain *c)
{
    if (!c->nwrite)
        return (struct span){0};
    return (struct span){c->iov + c->nread, c->gpa + c->nread, c->nwrite};
}

size_t chain_read(const struct virtq_chain *chain, uint64_t off, void *buf, size_t len)
{
    struct span s = {chain->iov, chain->gpa, chain->nread};
    return span_copy(chain->vq->vd->gmem, s, off, buf, len, false);
}

size_t chain_write(const struct virtq_chain *chain, uint64_t off, const void *buf, size_t len)
{
    if (!virtio_running(chain->vq->vd))
        return 0;
    union {
        const void *in;
        void *out;
    } b = {.in = buf};
    return span_copy(chain->vq->vd->gmem, written_span(chain), off, b.out, len, true);
}

bool chain_pull(struct virtq_chain *chain, void *buf, size_t len)
{
    if (chain->read_bytes < len)
        return false;
    chain_read(chain, 0, buf, len);
    chain->read_bytes -= len;
    while (len) {
        if (chain->iov->iov_len > len) {
            chain->iov->iov_base = (uint8_t *)chain->iov->iov_base + len;
            chain->iov->iov_len -= len;
            *chain->gpa += len;
            break;
        }
        len -= chain->iov->iov_len;
        chain->iov++;
        chain->gpa++;
        chain->nread--;
    }
    return true;
}

bool chain_cut(struct virtq_chain *chain, uint8_t **host, gpa_t *gpa)
{
    if (!chain->nwrite)
        return false;
    unsigned last = chain->nread + chain->nwrite - 1;
    struct iovec *iov = &chain->iov[last];
    iov->iov_len--;
    *host = (uint8_t *)iov->iov_base + iov->iov_len;
    *gpa = chain->gpa[last] + iov->iov_len;
    chain->write_bytes--;
    if (!iov->iov_len)
        chain->nwrite--;
    return true;
}

void chain_wrote(const struct virtq_chain *chain)
{
    struct span s = written_span(chain);
    for (unsigned i = 0; i < s.n; i++)
        gmem_wrote(chain->vq->vd->gmem, s.gpa[i], s.iov[i].iov_len);
}
