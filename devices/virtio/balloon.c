// SPDX-License-Identifier: MIT
//
// The memory balloon (virtio 1.2 section 5.5). Pages that the driver puts into the balloon, and
// runs of free pages that it reports, are discarded (gmem_discard); deflating needs nothing of us,
// since discarded memory is there again, as zeros, when touched. A page number that is not RAM is
// counted and passed over. Work is done a bounded number of pages, or of runs, at a time. The
// queues behind the first two have no fixed numbers: those whose feature was not accepted are left
// out of the count, which is what drivers do. If the driver says that it fills free pages with
// something (PAGE_POISON) other than zero, reported pages stay as they are: they would come back as
// zeros, and look corrupted. Statistics are asked for by a timer, as often as somebody outside
// wants them. Left out: free page hints (for migration), telling the host before use (discarded
// pages need none).
#include "devices/virtio/balloon.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"
#include "util.h"

#define DEVICE_ID_BALLOON 5
#define QUEUE_SIZE 128
enum { INFLATE, DEFLATE, OTHERS, QUEUES = 4 };

#define F_STATS (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_PAGE_POISON (1ull << 4)
#define F_REPORTING (1ull << 5)

#define PAGE 4096u /* whatever the guest's own pages are */
#define PAGES_TURN 1024
#define BYTES_TURN MIB(64) /* of reported runs */
#define RUN_COST MIB(1)    /* what asking the host costs, in bytes */
#define TURNS 4 /* before others have theirs */
#define CHAINS_TURN 64
#define STAT_BYTES 10
#define CHANGE_NS NS_PER_S

#define CFG_NUM_PAGES 0
#define CFG_ACTUAL 4
#define CFG_POISON 12

/* A chain that is being worked on. */
struct job {
    struct virtq_chain *chain;
    uint64_t at; /* byte of its page numbers, or number of its run */
};

struct virtio_balloon {
    struct virtio vd;
    uint8_t config[16]; /* pages asked for, pages given, (hint command), poison */
    struct job inflate, report;
    struct virtq_chain *stats; /* the driver's buffer, ours until new statistics are wanted */
    struct virtio_balloon_info info;
    struct event wanted; /* a target or an interval was set from outside */
    struct timer poll;
    bool poll_wanted;   /* from now on */
    struct timer quiet; /* armed: the last change was told less than CHANGE_NS ago */
    bool change_due;
    struct virtio_balloon_config cfg;
};

const char *const balloon_stat_names[BALLOON_STATS] = {
    "swap-in", "swap-out", "major-faults", "minor-faults", "free-memory",
    "total-memory", "available-memory", "disk-caches", "htlb-pgalloc", "htlb-pgfail",
};

static struct virtio_balloon *from_virtio(struct virtio *vd)
{
    return container_of(vd, struct virtio_balloon, vd);
}

/* --- inflate --- */

static void discard_run(struct virtio_balloon *dev, uint64_t first, uint64_t pages)
{
    if (!pages)
        return;
    uint64_t given = gmem_discard(dev->vd.gmem, first * PAGE, pages * PAGE);
    /* Over the end of RAM, or the hole: page by page. */
    for (uint64_t i = 0; !given && i < pages; i++) {
        if (gmem_ptr(dev->vd.gmem, (first + i) * PAGE, PAGE))
            dev->info.inflated += gmem_discard(dev->vd.gmem, (first + i) * PAGE, PAGE);
        else
            dev->info.ignored++;
    }
    dev->info.inflated += given;
}

/* Page numbers of a chain, at most PAGES_TURN: true when it is done. Neighbours go together. */
static bool inflate_some(struct virtio_balloon *dev)
{
    struct job *job = &dev->inflate;
    uint64_t first = 0, pages = 0;
    uint8_t bytes[4];
    for (unsigned n = 0; n < PAGES_TURN && job->at + 4 <= job->chain->read_bytes; n++) {
        chain_read(job->chain, job->at, bytes, sizeof bytes);
        job->at += 4;
        uint64_t pfn = load_le32(bytes);
        if (pages && pfn == first + pages) {
            pages++;
        } else if (pages && pfn + 1 == first) {
            first--;
            pages++;
        } else {
            discard_run(dev, first, pages);
            first = pfn;
            pages = 1;
        }
    }
    discard_run(dev, first, pages);
    return job->at + 4 > job->chain->read_bytes;
}

/* --- free page reporting --- */

static bool poisoned(const struct virtio_balloon *dev)
{
    return virtio_has(&dev->vd, F_PAGE_POISON) && load_le32(dev->config + CFG_POISON);
}

static bool report_some(struct virtio_balloon *dev)
{
    struct job *job = &dev->report;
    const struct virtq_chain *c = job->chain;
    if (!c->nwrite || poisoned(dev)) {
        dev->info.ignored += !c->nwrite;
        return true;
    }
    uint64_t bytes = 0;
    while (bytes < BYTES_TURN && job->at < c->nwrite) {
        unsigned i = c->nread + (unsigned)job->at++;
        bytes += c->iov[i].iov_len + RUN_COST;
        dev->info.reported += gmem_discard(dev->vd.gmem, c->gpa[i], c->iov[i].iov_len);
    }
    return job->at >= c->nwrite;
}

/* --- queues --- */

static void give_up(struct virtq_chain **chain)
{
    if (*chain)
        virtq_push(*chain, 0);
    *chain = NULL;
}

/* Go on with a queue's chains, one turn's worth. */
static void work(struct virtio_balloon *dev, unsigned q, struct job *job,
                 bool (*some)(struct virtio_balloon *dev))
{
    struct virtq *vq = &dev->vd.vq[q];
    bool more = true;
    for (unsigned turn = 0; turn < TURNS && more; turn++) {
        if (!job->chain) {
            job->at = 0;
            if (virtq_pop(vq, &job->chain) <= 0) {
                job->chain = NULL;
                more = virtq_enable_kick(vq);
                continue;
            }
        }
        if (some(dev)) {
            virtq_push(job->chain, 0);
            job->chain = NULL;
        }
    }
    virtq_notify(vq);
    if (more)
        virtq_kick_again(vq);
}

static void deflate(struct virtio_balloon *dev)
{
    struct virtq *vq = &dev->vd.vq[DEFLATE];
    struct virtq_chain *chain;
    unsigned budget = CHAINS_TURN;
    do {
        for (; budget && virtq_pop(vq, &chain) > 0; budget--)
            virtq_push(chain, 0);
    } while (budget && virtq_enable_kick(vq));
    if (!budget)
        virtq_kick_again(vq);
    virtq_notify(vq);
}

static void learn(struct virtio_balloon *dev, const struct virtq_chain *chain)
{
    uint8_t bytes[STAT_BYTES * 32];
    size_t n = chain_read(chain, 0, bytes, sizeof bytes);
    for (size_t at = 0; at + STAT_BYTES <= n; at += STAT_BYTES) {
        unsigned tag = load_le16(bytes + at);
        if (tag < BALLOON_STATS)
            dev->info.stats[tag] = load_le64(bytes + at + 2);
    }
    dev->info.stats_told++;
    dev->info.stats_utc_s = clock_wall_ns(dev->cfg.clock) / NS_PER_S;
}

/* The driver has one buffer; a second one gives the first back. */
static void take_stats(struct virtio_balloon *dev, struct virtq *vq)
{
    struct virtq_chain *chain;
    unsigned budget = CHAINS_TURN;
    do {
        for (; budget && virtq_pop(vq, &chain) > 0; budget--) {
            learn(dev, chain);
            if (dev->stats)
                virtq_push(dev->stats, 0);
            dev->stats = chain;
        }
    } while (budget && virtq_enable_kick(vq));
    if (!budget)
        virtq_kick_again(vq);
}

static unsigned stats_queue(const struct virtio *vd)
{
    return virtio_has(vd, F_STATS) ? OTHERS : QUEUES;
}

static unsigned report_queue(const struct virtio *vd)
{
    if (!virtio_has(vd, F_REPORTING))
        return QUEUES;
    return OTHERS + (virtio_has(vd, F_STATS) ? 1u : 0u);
}

static void balloon_notify(struct virtio *vd, unsigned q)
{
    struct virtio_balloon *dev = from_virtio(vd);
    if (q == INFLATE)
        work(dev, q, &dev->inflate, inflate_some);
    else if (q == DEFLATE)
        deflate(dev);
    else if (q == stats_queue(vd))
        take_stats(dev, &vd->vq[q]);
    else if (q == report_queue(vd))
        work(dev, q, &dev->report, report_some);
}

/* --- its size --- */

/* As the driver says, who may say anything. */
static uint64_t actual(const struct virtio_balloon *dev)
{
    uint64_t bytes = (uint64_t)load_le32(dev->config + CFG_ACTUAL) * PAGE;
    return bytes < dev->vd.gmem->size ? bytes : dev->vd.gmem->size;
}

/* Drivers tell of every MiB; whoever listens hears of the first at once and of the rest now and
 * then. */
static void tell_change(struct virtio_balloon *dev)
{
    dev->change_due = dev->quiet.armed;
    if (!dev->cfg.changed || dev->change_due)
        return;
    timer_arm(&dev->quiet, clock_now_ns(dev->cfg.clock) + CHANGE_NS);
    dev->cfg.changed(dev->cfg.opaque, actual(dev));
}

static void quiet_is_over(void *self)
{
    struct virtio_balloon *dev = self;
    if (dev->change_due)
        tell_change(dev);
}

static void balloon_config_write(struct virtio *vd, uint64_t off, unsigned size, uint64_t val)
{
    struct virtio_balloon *dev = from_virtio(vd);
    bool poison = off == CFG_POISON && virtio_has(vd, F_PAGE_POISON);
    if (size != 4 || (off != CFG_ACTUAL && !poison)) {
        log_guest("virtio-balloon: config byte %llu is not writable", (unsigned long long)off);
        return;
    }
    uint64_t before = actual(dev);
    store_le32(dev->config + off, (uint32_t)val);
    if (actual(dev) != before)
        tell_change(dev);
}

/* --- wishes from outside --- */

static void keep_target(struct virtio_balloon *dev, uint64_t bytes)
{
    if (bytes > dev->vd.gmem->size)
        bytes = dev->vd.gmem->size;
    dev->info.target = bytes / PAGE * PAGE;
}

/*
 * Give the driver its buffer back, which asks for new statistics; nothing when it has told none
 * yet, or is at it.
 */
static void ask_stats(struct virtio_balloon *dev)
{
    if (!dev->stats)
        return;
    struct virtq *vq = dev->stats->vq;
    give_up(&dev->stats);
    virtq_notify(vq);
}

static void poll_stats(void *self)
{
    struct virtio_balloon *dev = self;
    timer_cancel(&dev->poll);
    if (!dev->info.poll_s)
        return;
    ask_stats(dev);
    timer_arm(&dev->poll, clock_now_ns(dev->cfg.clock) + dev->info.poll_s * NS_PER_S);
}

static void grant(void *self)
{
    struct virtio_balloon *dev = self;
    uint32_t pages = (uint32_t)(dev->info.target / PAGE);
    if (load_le32(dev->config + CFG_NUM_PAGES) != pages) {
        store_le32(dev->config + CFG_NUM_PAGES, pages);
        virtio_config_changed(&dev->vd);
    }
    if (dev->poll_wanted)
        poll_stats(dev);
    dev->poll_wanted = false;
}

void virtio_balloon_set_target(struct virtio *vd, uint64_t bytes)
{
    struct virtio_balloon *dev = from_virtio(vd);
    keep_target(dev, bytes);
    event_post(&dev->wanted);
}

void virtio_balloon_poll_stats(struct virtio *vd, uint32_t seconds)
{
    struct virtio_balloon *dev = from_virtio(vd);
    dev->info.poll_s = seconds;
    dev->poll_wanted = true;
    event_post(&dev->wanted);
}

struct virtio_balloon_info virtio_balloon_info(struct virtio *vd)
{
    struct virtio_balloon *dev = from_virtio(vd);
    struct virtio_balloon_info info = dev->info;
    info.actual = actual(dev);
    return info;
}

/* --- the device --- */

static void balloon_reset(struct virtio *vd)
{
    struct virtio_balloon *dev = from_virtio(vd);
    give_up(&dev->inflate.chain);
    give_up(&dev->report.chain);
    give_up(&dev->stats);
    bool changed = actual(dev);
    store_le32(dev->config + CFG_ACTUAL, 0);
    store_le32(dev->config + CFG_POISON, 0);
    if (changed)
        tell_change(dev);
    for (unsigned i = 0; i < BALLOON_STATS; i++)
        dev->info.stats[i] = BALLOON_NOT_TOLD;
    dev->info.stats_told = dev->info.stats_utc_s = 0;
}

static void balloon_fini(struct virtio *vd)
{
    struct virtio_balloon *dev = from_virtio(vd);
    dev->cfg.changed = NULL;
    balloon_reset(vd);
    timer_cancel(&dev->poll);
    timer_cancel(&dev->quiet);
    event_cancel(&dev->wanted);
    virtio_fini(vd);
    free(dev);
}

static const struct virtio_ops balloon_ops = {
    .name = "virtio-balloon",
    .device_id = DEVICE_ID_BALLOON,
    .notify = balloon_notify,
    .config_write = balloon_config_write,
    .reset = balloon_reset,
    .fini = balloon_fini,
};

struct virtio *virtio_balloon_create(const struct virtio_balloon_config *cfg, struct gmem *gmem,
                                     struct err *err)
{
    struct virtio_balloon *dev = calloc(1, sizeof *dev);
    if (!dev) {
        err_set(err, ENOMEM, "virtio-balloon: no memory for the device");
        return NULL;
    }
    uint64_t features = F_STATS | F_PAGE_POISON | (cfg->reporting ? F_REPORTING : 0) |
                        (cfg->deflate_on_oom ? F_DEFLATE_ON_OOM : 0);
    unsigned queues = cfg->reporting ? QUEUES : QUEUES - 1;
    if (virtio_init(&dev->vd, &balloon_ops, gmem, features, queues, QUEUE_SIZE, dev->config,
                    sizeof dev->config, err)) {
        free(dev);
        return NULL;
    }
    dev->cfg = *cfg;
    event_init(&dev->wanted, cfg->events, grant, dev);
    timer_init(&dev->poll, cfg->clock, poll_stats, dev);
    timer_init(&dev->quiet, cfg->clock, quiet_is_over, dev);
    balloon_reset(&dev->vd);
    keep_target(dev, cfg->target);
    store_le32(dev->config + CFG_NUM_PAGES, (uint32_t)(dev->info.target / PAGE));
    return &dev->vd;
}
