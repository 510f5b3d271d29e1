// SPDX-License-Identifier: MIT
//
// Disks and devices on the command line: -disk, and QEMU's -drive with -device. The guest finds
// the disks in the order of the options that attach them: -disk, -drive with if=virtio, or the
// -device that names the drive. Left out: image formats other than raw, buses other than virtio.
// Files are not looked at here.
#include <errno.h>
#include <string.h>

#include "src/config/config_net.h"
#include "layout.h"
#include "src/config/config_parse.h"
#include "util.h"
#include "virtio.h"

#define SERIAL_MAX 20 /* virtio 1.2 section 5.2.6: VIRTIO_BLK_T_GET_ID has 20 bytes */

struct drive_words {
    struct disk_config disk;
    enum { IF_VIRTIO, IF_NONE } interface;
    unsigned format;
};

struct debug_exit_words {
    unsigned iobase, iosize;
};

const struct opt_choice config_cache_modes[] = {
    [BLK_CACHE_WRITEBACK] = {"writeback",
                             "through the host's page cache; a guest flush reaches the disk"},
    [BLK_CACHE_NONE] = {"none",
                        "past the host's page cache (O_DIRECT); a guest flush reaches the disk"},
    [BLK_CACHE_UNSAFE] = {"unsafe",
                          "guest flushes are ignored: fast, and lost when the host goes down"},
    {0},
};
const struct opt_choice config_aio_modes[] = {
    [BLK_AIO_AUTO] = {"auto", "io_uring where the host has it, else threads"},
    [BLK_AIO_URING] = {"io_uring", "io_uring only"},
    [BLK_AIO_THREADS] = {"threads", "a pool of threads"},
    {0},
};
const struct opt_choice config_buses[] = {
    [VIRTIO_BUS_PCI] = {"pci", "virtio-pci"},
    [VIRTIO_BUS_MMIO] = {"mmio", "virtio-mmio"},
    {0},
};
static const struct opt_choice interfaces[] = {
    [IF_VIRTIO] = {"virtio", "a virtio disk on PCI"},
    [IF_NONE] = {"none", "not attached yet: a -device names it by its id"},
    {0},
};
static const struct opt_choice formats[] = {{"raw", "the file's bytes are the disk's"}, {0}};

/* Rows that -disk and -drive share; struct drive_words starts with its disk_config. */
#define DISK_FIELD(field) offsetof(struct disk_config, field)
#define SNAPSHOT_ROW                                                                              \
    {.name = "snapshot", .kind = OPT_FLAG, .offset = DISK_FIELD(block.snapshot),                  \
     .help = "Writes are thrown away at the end; the file stays as it is."}
#define SERIAL_ROW                                                                                \
    {.name = "serial", .metavar = "TEXT", .kind = OPT_TEXT, .max = SERIAL_MAX,                    \
     .offset = DISK_FIELD(block.serial), .help = "Serial number, at most 20 characters."}
#define CACHE_ROW                                                                                 \
    {.name = "cache", .kind = OPT_CHOICE, .choices = config_cache_modes,                          \
     .offset = DISK_FIELD(block.cache), .help = "How the host caches (default writeback)."}
#define AIO_ROW                                                                                   \
    {.name = "aio", .kind = OPT_CHOICE, .choices = config_aio_modes,                              \
     .offset = DISK_FIELD(block.aio), .help = "How the host reads and writes (default auto)."}

static const struct opt_row disk_rows[] = {
    {.name = "path", .metavar = "PATH", .kind = OPT_FILE, .offset = DISK_FIELD(block.path),
     .help = "The image file, or a block device."},
    {.name = "ro", .kind = OPT_FLAG, .offset = DISK_FIELD(block.read_only),
     .help = "The guest cannot write; also readonly, as -drive has it."},
    {.name = "readonly", .kind = OPT_FLAG, .offset = DISK_FIELD(block.read_only)},
    SNAPSHOT_ROW,
    SERIAL_ROW,
    CACHE_ROW,
    AIO_ROW,
    {.name = "bus", .kind = OPT_CHOICE, .choices = config_buses, .offset = DISK_FIELD(bus),
     .help = "How the guest reaches it (default pci)."},
    {.name = "queues", .metavar = "N", .kind = OPT_NUMBER, .min = 1, .max = VIRTIO_MAX_QUEUES,
     .offset = DISK_FIELD(queues), .help = "Request queues (default one per CPU)."},
    {0},
};
static const struct opt_keys disk = {
    .what = "-disk", .rows = disk_rows, .first = "path", .first_always = true};
const struct opt_keys *const disk_keys[] = {&disk, NULL};

static const struct opt_row drive_rows[] = {
    {.name = "file", .metavar = "PATH", .kind = OPT_FILE, .offset = DISK_FIELD(block.path),
     .help = "The image file, or a block device."},
    {.name = "if", .kind = OPT_CHOICE, .choices = interfaces,
     .offset = offsetof(struct drive_words, interface),
     .help = "What it is attached to (default virtio)."},
    {.name = "format", .kind = OPT_CHOICE, .choices = formats,
     .offset = offsetof(struct drive_words, format), .help = "What the file holds (default raw)."},
    {.name = "id", .metavar = "ID", .kind = OPT_TEXT, .offset = DISK_FIELD(id),
     .help = "A name for -device; no two drives share one."},
    {.name = "readonly", .kind = OPT_FLAG, .offset = DISK_FIELD(block.read_only),
     .help = "The guest cannot write."},
    SNAPSHOT_ROW,
    SERIAL_ROW,
    CACHE_ROW,
    AIO_ROW,
    {0},
};
static const struct opt_keys drive = {.what = "-drive", .rows = drive_rows};
const struct opt_keys *const drive_keys[] = {&drive, NULL};

static const struct opt_row blk_rows[] = {
    {.name = "drive", .metavar = "ID", .kind = OPT_TEXT,
     .offset = offsetof(struct drive_request, drive), .help = "The id of a -drive with if=none."},
    {.name = "serial", .metavar = "TEXT", .kind = OPT_TEXT, .max = SERIAL_MAX,
     .offset = offsetof(struct drive_request, serial),
     .help = "Serial number, at most 20 characters."},
    {.name = "num-queues", .metavar = "N", .kind = OPT_NUMBER, .min = 1, .max = VIRTIO_MAX_QUEUES,
     .offset = offsetof(struct drive_request, queues),
     .help = "Request queues (default one per CPU)."},
    {0},
};
static const struct opt_keys blk_pci = {
    .what = "virtio-blk-pci", .rows = blk_rows,
    .help = "A virtio disk on PCI, also named virtio-blk."};
static const struct opt_keys blk_mmio = {
    .what = "virtio-blk-device", .rows = blk_rows, .help = "A virtio disk on virtio-mmio."};

static const struct opt_row debug_exit_rows[] = {
    {.name = "iobase", .metavar = "PORT", .kind = OPT_NUMBER, .max = 0xffff,
     .offset = offsetof(struct debug_exit_words, iobase), .help = "Its I/O port (default 0x501)."},
    {.name = "iosize", .metavar = "N", .kind = OPT_NUMBER, .min = 1, .max = 4,
     .offset = offsetof(struct debug_exit_words, iosize),
     .help = "How many ports: 1, 2 (the default) or 4."},
    {0},
};
static const struct opt_keys debug_exit = {
    .what = "isa-debug-exit", .rows = debug_exit_rows,
    .help = "A port that ends the run: a guest that writes V makes the exit status 2V+1."};

const struct opt_keys *const device_keys[] = {
    &blk_pci,
    &blk_mmio,
    &net_pci_keys,
    &net_mmio_keys,
    &config_virtio_serial_pci,
    &config_virtio_serial_mmio,
    &config_virtconsole,
    &config_virtserialport,
    &config_rng_pci,
    &config_rng_mmio,
    &config_balloon_pci,
    &config_balloon_mmio,
    &config_pvpanic,
    &config_i6300esb,
    &debug_exit,
    NULL,
};

static const struct disk_config *find_drive(const struct config *cfg, const char *id)
{
    for (unsigned i = 0; i < cfg->ndisks; i++) {
        if (cfg->disks[i].id && !strcmp(cfg->disks[i].id, id))
            return &cfg->disks[i];
    }
    return NULL;
}

static int append_disk(struct cmdline *cl, const char *option, const struct disk_config *d,
                       struct err *err)
{
    struct config *cfg = &cl->cfg;
    if (cfg->ndisks == CONFIG_MAX_DISKS)
        return err_set(err, EINVAL, "%s: more than %d disks", option, CONFIG_MAX_DISKS);
    cl->place[cfg->ndisks] = cl->places++;
    cfg->disks[cfg->ndisks++] = *d;
    return 0;
}

int config_add_disk(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct disk_config d = {.attached = true};
    int rc = opt_parse_keys(&disk, &d, value, &cl->cfg.pool, err);
    return rc ? rc : append_disk(cl, "-disk", &d, err);
}

int config_add_drive(void *target, const char *value, struct err *err)
{
    struct cmdline *cl = target;
    struct drive_words w = {.interface = IF_VIRTIO};
    int rc = opt_parse_keys(&drive, &w, value, &cl->cfg.pool, err);
    if (rc)
        return rc;
    if (!w.disk.block.path)
        return err_set(err, EINVAL, "-drive: no file=PATH in '%s'", OPT_QUOTE(value));
    if (w.disk.id && find_drive(&cl->cfg, w.disk.id))
        return err_set(err, EINVAL, "-drive: two drives have the id '%s'", OPT_QUOTE(w.disk.id));
    if (w.interface == IF_NONE && !w.disk.id)
        return err_set(err, EINVAL, "-drive: if=none without id=, so no -device can name it: '%s'",
                       OPT_QUOTE(value));
    w.disk.attached = w.interface == IF_VIRTIO;
    return append_disk(cl, "-drive", &w.disk, err);
}

static int add_blk(struct cmdline *cl, const struct opt_keys *keys, enum virtio_bus bus,
                   const char *words, struct err *err)
{
    struct drive_request req = {.device = keys->what, .bus = bus};
    int rc = words ? opt_parse_keys(keys, &req, words, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (!req.drive)
        return err_set(err, EINVAL, "-device %s: no drive=ID", req.device);
    if (cl->nrequests == CONFIG_MAX_DISKS)
        return err_set(err, EINVAL, "-device %s: more than %d disks", req.device, CONFIG_MAX_DISKS);
    req.place = cl->places++;
    cl->requests[cl->nrequests++] = req;
    return 0;
}

static int add_blk_pci(struct cmdline *cl, const char *words, struct err *err)
{
    return add_blk(cl, &blk_pci, VIRTIO_BUS_PCI, words, err);
}

static int add_blk_mmio(struct cmdline *cl, const char *words, struct err *err)
{
    return add_blk(cl, &blk_mmio, VIRTIO_BUS_MMIO, words, err);
}

static int add_debug_exit(struct cmdline *cl, const char *words, struct err *err)
{
    struct debug_exit_words w = {.iobase = DEBUG_EXIT_PORT, .iosize = 2};
    int rc = words ? opt_parse_keys(&debug_exit, &w, words, &cl->cfg.pool, err) : 0;
    if (rc)
        return rc;
    if (!is_power_of_two(w.iosize) || w.iobase + w.iosize > 0x10000)
        return err_set(err, EINVAL,
                       "isa-debug-exit: %u ports from 0x%x do not work (1, 2 or 4, up to 0xffff)",
                       w.iosize, w.iobase);
    if (cl->cfg.debug_exit)
        return err_set(err, EINVAL, "-device isa-debug-exit: there can be only one");
    cl->cfg.debug_exit = true;
    cl->cfg.debug_exit_port = (uint16_t)w.iobase;
    cl->cfg.debug_exit_size = (uint16_t)w.iosize;
    return 0;
}

static const struct device_kind {
    const char *name;
    int (*add)(struct cmdline *cl, const char *words, struct err *err); /* words may be NULL */
} device_kinds[] = {
    {"virtio-blk-pci", add_blk_pci},
    {"virtio-blk", add_blk_pci},
    {"virtio-blk-device", add_blk_mmio},
    {"virtio-serial-pci", config_add_virtio_serial_pci},
    {"virtio-serial", config_add_virtio_serial_pci},
    {"virtio-serial-device", config_add_virtio_serial_mmio},
    {"virtconsole", config_add_virtconsole},
    {"virtserialport", config_add_virtserialport},
    {"virtio-rng-pci", config_add_rng_pci},
    {"virtio-rng", config_add_rng_pci},
    {"virtio-rng-device", config_add_rng_mmio},
    {"virtio-balloon-pci", config_add_balloon_pci},
    {"virtio-balloon", config_add_balloon_pci},
    {"virtio-balloon-device", config_add_balloon_mmio},
    {"pvpanic", config_add_pvpanic},
    {"i6300esb", config_add_i6300esb},
    {"virtio-net-pci", config_add_net_pci},
    {"virtio-net", config_add_net_pci},
    {"virtio-net-device", config_add_net_mmio},
    {"vhost-vsock-pci", config_refuse_vhost_vsock},
    {"isa-debug-exit", add_debug_exit},
};

static int print_devices(void)
{
    printf("-device takes one of (NAME,help lists its keys):\n");
    for (const struct opt_keys *const *k = device_keys; *k; k++)
        printf("  %-20s %s\n", (*k)->what, (*k)->help);
    return OPT_STOP;
}

static int unknown_device(const char *value, struct err *err)
{
    char known[512] = "";
    size_t n = 0;
    for (const struct opt_keys *const *k = device_keys; *k && n < sizeof known; k++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", (*k)->what);
    struct opt_quoted name;
    opt_quote(&name, value);
    name.text[strcspn(name.text, ",")] = '\0';
    return err_set(err, EINVAL, "-device: unknown device '%s' (known: %s)", name.text, known);
}

int config_add_device(void *target, const char *value, struct err *err)
{
    if (!strcmp(value, "help"))
        return print_devices();
    size_t len = strcspn(value, ",");
    for (size_t i = 0; i < ARRAY_LEN(device_kinds); i++) {
        const struct device_kind *kind = &device_kinds[i];
        if (strlen(kind->name) == len && !strncmp(kind->name, value, len))
            return kind->add(target, value[len] ? value + len + 1 : NULL, err);
    }
    return unknown_device(value, err);
}

static int attach_drive(struct cmdline *cl, const struct drive_request *req, struct err *err)
{
    const struct disk_config *found = find_drive(&cl->cfg, req->drive);
    if (!found)
        return err_set(err, EINVAL, "-device %s: no -drive has the id '%s'", req->device,
                       OPT_QUOTE(req->drive));
    size_t i = (size_t)(found - cl->cfg.disks);
    struct disk_config *d = &cl->cfg.disks[i];
    if (d->attached)
        return err_set(err, EINVAL,
                       "-device %s: drive '%s' is attached already (-drive needs if=none, and one "
                       "-device)",
                       req->device, OPT_QUOTE(req->drive));
    d->attached = true;
    d->bus = req->bus;
    d->queues = req->queues;
    if (req->serial)
        d->block.serial = req->serial;
    cl->place[i] = req->place;
    return 0;
}

/* Insertion sort: a handful of disks, mostly in order. */
static void sort_disks(struct cmdline *cl)
{
    struct disk_config *disks = cl->cfg.disks;
    for (unsigned i = 1; i < cl->cfg.ndisks; i++) {
        struct disk_config d = disks[i];
        unsigned place = cl->place[i], j = i;
        for (; j > 0 && cl->place[j - 1] > place; j--) {
            disks[j] = disks[j - 1];
            cl->place[j] = cl->place[j - 1];
        }
        disks[j] = d;
        cl->place[j] = place;
    }
}

int config_resolve_disks(struct cmdline *cl, struct err *err)
{
    struct config *cfg = &cl->cfg;
    for (unsigned i = 0; i < cl->nrequests; i++) {
        int rc = attach_drive(cl, &cl->requests[i], err);
        if (rc)
            return rc;
    }
    sort_disks(cl);
    for (unsigned i = 0; i < cfg->ndisks; i++) {
        struct disk_config *d = &cfg->disks[i];
        if (!d->attached)
            return err_set(err, EINVAL,
                           "-drive: '%s' is attached to nothing: add -device "
                           "virtio-blk-pci,drive=ID with its id, or use if=virtio",
                           OPT_QUOTE(d->id));
        d->block.snapshot |= cfg->snapshot;
        if (!d->queues)
            d->queues = cfg->smp < VIRTIO_MAX_QUEUES ? cfg->smp : VIRTIO_MAX_QUEUES;
    }
    return 0;
}
