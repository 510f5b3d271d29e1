// SPDX-License-Identifier: MIT
//
// A guest that does everything wrong, the same way every time (seed= on the command line; rounds=
// to do more of what is left to chance, which a fast host can afford): garbage to all ports,
// configuration space, device registers and MSI-X tables; fw_cfg DMA without sense; virtqueues that
// lie; rings and registers that change under the device, on another CPU too. The victims are one
// virtio-blk over PCI and one over MMIO. After each outrage a third disk and the serial port must
// work as ever; at the end the victims, reset, must work again.
//
// Spared are only what would rightly end the machine or this program: reset and power-off commands,
// isa-debug-exit, interrupt messages other than plain vectors, and addresses that would let a
// device overwrite this program. What a device may be made to write goes to RAM from VOID on.
#include "virtio.h"

enum { VICTIM_SLOT = 1, GOOD_SLOT = 2 };
#define GOOD_VECTOR 0x40
#define JUNK_VECTOR(r) (0x90 + (r) % 0x50)
#define VOID (32u << 20)
#define VOID_BYTES (31u << 20)
#define RAM_END (64u << 20)
#define SECTORS 64
#define IMPATIENCE_MS 20000

static struct vq rings[3][VQ_MAX];
static struct vblk good, pci_victim, mmio_victim;
static uint8_t buf[SECTOR], copy[SECTOR];
static unsigned wellness, rounds;

/* --- chance --- */

static uint32_t chance_state;

static uint32_t chance_step(uint32_t x)
{
    x ^= x << 13;
    x ^= x >> 17;
    return x ^ x << 5;
}

static uint32_t chance(void)
{
    return chance_state = chance_step(chance_state);
}

static uint32_t below(uint32_t n)
{
    return chance() % n;
}

/* Numbers near which bugs live, as often as plain ones. */
static uint32_t odd_number(void)
{
    static const uint32_t edges[] = {
        0,   1,      2,      15,     16,      17,         255,        256,        511,
        512, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};
    return chance() % 2 ? edges[below(sizeof edges / sizeof edges[0])] : chance();
}

/* --- what must go on working --- */

static void calm(void)
{
    irq_on();
    irq_off();
}

/* A sector written to the good disk and read back, interrupts and all. */
static void still_well(const char *after)
{
    unsigned sector = wellness++ % SECTORS;
    for (unsigned i = 0; i < SECTOR; i++)
        buf[i] = (uint8_t)('a' + (sector + i) % 26);
    CHECK(vblk_do(&good, 0, BLK_OUT, sector, buf, SECTOR) == BLK_OK);
    CHECK(vblk_do(&good, 0, BLK_IN, sector, copy, SECTOR) == BLK_OK);
    CHECK(!memcmp(buf, copy, SECTOR));
    if (after)
        print("well after %s\n", after);
}

/* --- ports --- */

/* One byte of a write, made harmless where it would end the machine. */
static uint8_t tame_byte(uint16_t port, uint8_t v)
{
    switch (port) {
    case 0x64:
        return v >= 0xf0 ? v | 1 : v == 0xd1 ? 0xd0 : v;
    case 0x92:
        return (uint8_t)(v & ~1u);
    case 0xcf9:
        return (uint8_t)(v & ~4u);
    case 0x605: /* SLP_EN */
        return (uint8_t)(v & ~0x20u);
    default:
        return v;
    }
}

/* isa-debug-exit, our own output, the configuration ports and the DMA trigger: not by chance. */
static bool spared(uint32_t port)
{
    return (port >= 0xf4 && port < 0xf8) || port == COM1 ||
           (port >= 0xcf8 && port != 0xcf9 && port < 0xd00) || (port >= 0x514 && port < 0x51c);
}

static void junk_port(uint16_t port)
{
    unsigned size = 1u << below(3);
    uint32_t v = odd_number(), tame = 0;
    for (unsigned i = 0; i < size; i++) {
        if (spared((uint16_t)(port + i)))
            return;
        tame |= (uint32_t)tame_byte((uint16_t)(port + i), (uint8_t)(v >> (8 * i))) << (8 * i);
    }
    bool write = chance() % 2;
    if (size == 1)
        write ? outb(port, (uint8_t)tame) : (void)inb(port);
    else if (size == 2)
        write ? outw(port, (uint16_t)tame) : (void)inw(port);
    else
        write ? outl(port, tame) : (void)inl(port);
}

static void junk_string(uint16_t port)
{
    unsigned long n = 1 + below(300);
    void *at = (void *)(uintptr_t)VOID;
    if (spared(port) || tame_byte(port, 0xfe) != 0xfe || tame_byte(port, 0xff) != 0xff)
        return;
    if (chance() % 2)
        __asm__ volatile("rep insb" : "+D"(at), "+c"(n) : "d"(port) : "memory");
    else
        __asm__ volatile("rep outsb" : "+S"(at), "+c"(n) : "d"(port) : "memory");
}

static void repair_legacy(void)
{
    irq_setup();
    for (unsigned irq = 0; irq < 16; irq++) {
        if (irq > 2 && irq != 8 && irq != 13)
            pic_set_level(irq, false);
    }
    for (unsigned channel = 0; channel < 3; channel++)
        outb(0x43, (uint8_t)(channel << 6 | 0x30));
    cmos_write(0x0a, 0x26);
    cmos_write(0x0b, 0x02);
    cmos_read(0x0c);
    outw(0x602, 0);
    outw(0x600, 0xffff);
    outb(COM1 + 3, 0x03);
    outb(COM1 + 1, 0);
    outb(COM1 + 4, 0x03);
    outb(COM1 + 2, 0);
    calm();
}

static void ports(void)
{
    static const struct {
        uint16_t from, to;
    } ranges[] = {{0x00, 0x0f},   {0x20, 0x21},   {0x40, 0x43},   {0x60, 0x64},    {0x70, 0x71},
                  {0x80, 0x92},   {0xa0, 0xa1},   {0x2f8, 0x2ff}, {0x3f8, 0x3ff},  {0x4d0, 0x4d1},
                  {0x50e, 0x520}, {0x5fc, 0x640}, {0xcf4, 0xd04}, {0xfffc, 0xffff}};
    for (unsigned round = 0; round < 8 * rounds; round++) {
        for (unsigned r = 0; r < sizeof ranges / sizeof ranges[0]; r++) {
            for (unsigned port = ranges[r].from; port <= ranges[r].to; port++)
                junk_port((uint16_t)port);
            if (round % 4 == 0)
                junk_string((uint16_t)(ranges[r].from + below(ranges[r].to - ranges[r].from + 1u)));
        }
    }
    for (unsigned i = 0; i < 1000 * rounds; i++)
        junk_port((uint16_t)chance());
    repair_legacy();
    still_well("garbage on all ports");
}

/* --- fw_cfg DMA --- */

static void fw_cfg_dma(void)
{
    uint32_t *request = (uint32_t *)(uintptr_t)VOID;
    for (unsigned i = 0; i < 300; i++) {
        static const uint16_t keys[] = {0, 1, 3, 5, 0x19, 0x20, 0x21, 0x8000, 0xffff};
        uint32_t key = keys[below(sizeof keys / sizeof keys[0])];
        uint32_t control = chance() % 4 ? key << 16 | below(32) : chance();
        uint32_t to = VOID + 4096 + below(VOID_BYTES),
                 length = chance() % 2 ? below(65536) : odd_number();
        if (to + length < to || to + length > RAM_END)
            to = chance() % 2 ? 0xfeb00000u : RAM_END - below(16);
        request[0] = __builtin_bswap32(control);
        request[1] = __builtin_bswap32(length);
        request[2] = chance() % 4 ? 0 : chance();
        request[3] = __builtin_bswap32(to);
        uint32_t at = chance() % 4 ? VOID : RAM_END - 8 + below(16);
        outl(0x514, chance() % 8 ? 0 : chance());
        outl(0x518, __builtin_bswap32(at));
    }
    outl(0x514, 0);
    still_well("fw_cfg DMA without sense");
}

/* --- memory-mapped registers and configuration space --- */

static void junk_write(uintptr_t at, unsigned size, uint64_t v)
{
    switch (size) {
    case 1:
        write8(at, (uint8_t)v);
        break;
    case 2:
        write16(at, (uint16_t)v);
        break;
    case 4:
        write32(at, (uint32_t)v);
        break;
    default:
        *(volatile uint64_t *)at = v;
    }
}

static void junk_read(uintptr_t at, unsigned size)
{
    switch (size) {
    case 1:
        (void)read8(at);
        break;
    case 2:
        (void)read16(at);
        break;
    case 4:
        (void)read32(at);
        break;
    default:
        (void)*(volatile uint64_t *)at;
    }
}

static void junk_region(uintptr_t base, uint32_t len, unsigned times)
{
    while (times--) {
        unsigned size = 1u << below(4);
        uintptr_t at = base + below(len);
        if (chance() % 4)
            at &= ~(uintptr_t)(size - 1);
        if (chance() % 3)
            junk_write(at, size, odd_number() | (uint64_t)odd_number() << 32);
        else
            junk_read(at, size);
    }
}

static struct {
    uint32_t bar[2];
    uint16_t command;
} victim_config;

static void repair_victim(void)
{
    pci_write(VICTIM_SLOT, 0x10, victim_config.bar[0]);
    pci_write(VICTIM_SLOT, 0x14, victim_config.bar[1]);
    pci_write16(VICTIM_SLOT, 4, victim_config.command);
    pci_write16(VICTIM_SLOT, pci_victim.msix_cap + 2, 0);
    vblk_reset(&pci_victim);
    calm();
}

static void configuration(void)
{
    for (unsigned i = 0; i < 300; i++) {
        uintptr_t at = PCI_ECAM + VICTIM_SLOT * 0x8000u + below(chance() % 8 ? 0x100 : 0x8000);
        unsigned size = 1u << below(4);
        if (chance() % 3)
            junk_write(at, size, odd_number() | (uint64_t)odd_number() << 32);
        else
            junk_read(at, size);
        if (i % 64 == 0)
            repair_victim(); /* so that there is something to break */
    }
    for (unsigned i = 0; i < 200; i++) {
        outl(0xcf8, chance() % 2
                        ? 0x80000000u | VICTIM_SLOT << 11 | below(256)
                        : (chance() & ~0xff0000u) | (1 + below(255)) << 16); /* other buses */
        uint16_t port = (uint16_t)(0xcfc + below(4));
        if (chance() % 2)
            outb(port, (uint8_t)odd_number());
        else
            (void)inl(port);
    }
    junk_region(PCI_ECAM, 0x8000, 50);                          /* the host bridge */
    junk_region(PCI_ECAM + 3 * 0x8000, 0x100000 - 0x18000, 50); /* nobody */
    repair_victim();
    still_well("garbage in configuration space");
}

/* The victim's BAR where another device already is, on RAM, on an interrupt controller. */
static void bars_astray(void)
{
    const uint32_t places[] = {pci_read(GOOD_SLOT, 0x10),
                               pci_read(GOOD_SLOT, 0x14),
                               0,
                               0x100000,
                               0xbffff000u,
                               0xdffff000u,
                               PCI_ECAM,
                               IOAPIC,
                               LAPIC,
                               0xfeb00000u,
                               0xfffff000u};
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        pci_write(VICTIM_SLOT, 0x10 + 4 * (i % 2), places[i]);
        pci_write(VICTIM_SLOT, 0x14 - 4 * (i % 2), places[i]);
        still_well(NULL);
    }
    CHECK(read32(0x100000) != 0xffffffff && lapic_id() == 0);
    repair_victim();
    CHECK(read16(pci_victim.common + 0x12) >= 1);
    still_well("BARs astray");
}

static void junk_msix(unsigned times)
{
    while (times--) {
        unsigned size = chance() % 2 ? 4 : 8;
        uint32_t off = below(0x40) & ~3u;
        uint64_t v = odd_number() | (uint64_t)odd_number() << 32;
        for (unsigned half = 0; half < size; half += 4) {
            if ((off + half) % 16 != 8)
                continue;
            uint64_t plain = ((v >> 8 * half) & 0xfffff000u) | JUNK_VECTOR(chance());
            v = (v & ~(0xffffffffull << 8 * half)) | plain << 8 * half;
        }
        junk_write(pci_victim.msix_table + off, size, v);
        if (times % 8 == 0)
            pci_write16(VICTIM_SLOT, pci_victim.msix_cap + 2, (uint16_t)(chance() & 0xc000));
        if (times % 8 == 4)
            vblk_notify(&pci_victim, 0);
    }
}

static void registers(void)
{
    vblk_start(&pci_victim, 0, 1, 0);
    junk_msix(150);
    junk_region(pci_victim.msix_table + 0x40, 0x1000 - 0x40, 60);
    repair_victim();
    still_well("garbage in MSI-X tables");
    junk_region(pci_victim.common, 0x40, 600);
    junk_region(pci_victim.common, 0x4000, 600);
    repair_victim();
    junk_region(mmio_victim.common, 0x200, 600);
    junk_region(mmio_victim.common, 0x1000, 200);
    vblk_reset(&mmio_victim);
    still_well("garbage in device registers");
    for (unsigned i = 0; i < 300; i++) {
        uint32_t reg = below(0x50);
        uint32_t v = odd_number();
        if (reg >= 0x10 && reg % 2 == 0)
            v = (v & 0x1a800u) | JUNK_VECTOR(chance()); /* a plain vector */
        ioapic_write(reg, v);
    }
    for (unsigned pin = 0; pin < 24; pin++)
        ioapic_route(pin, JUNK_VECTOR(pin), 0, IOAPIC_MASKED);
    calm();
    still_well("garbage in the IOAPIC");
    static const uint32_t deserts[] = {0xc8000000u, 0xe0100000u, 0xfeb00200u,
                                       0xfec01000u, 0xfed00000u, 0xfff00000u};
    for (unsigned i = 0; i < sizeof deserts / sizeof deserts[0]; i++)
        junk_region(deserts[i], 0xe00, 20);
    still_well("garbage where nothing is");
}

/* --- rings that lie --- */

static struct vq_desc d(uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    return (struct vq_desc){addr, len, flags, next};
}

static struct blk_header *void_header(uint32_t type, uint64_t sector)
{
    struct blk_header *h = (struct blk_header *)(uintptr_t)VOID;
    *h = (struct blk_header){.type = type, .sector = sector};
    return h;
}

enum { HEADER = VOID, DATA = VOID + 0x10000, STATUS = VOID + 0x20000, TABLE = VOID + 0x30000 };
enum { N = DESC_NEXT, W = DESC_WRITE, I = DESC_INDIRECT };

/* Beyond the ring, in what is left of its page. */
#define LAST_OF_PAGE (sizeof(struct vq) / sizeof(struct vq_desc) - 1)
#define HDR                                                                                        \
    {                                                                                              \
        HEADER, 16, N, 1                                                                           \
    }
#define STA                                                                                        \
    {                                                                                              \
        STATUS, 1, W, 0                                                                            \
    }
#define INDIRECT(len)                                                                              \
    {                                                                                              \
        TABLE, len, I, 0                                                                           \
    }

/* Each breaks the device: head 0 is made available. `table` lies at TABLE. */
static const struct {
    const char *what;
    struct vq_desc desc[4], table[2];
    bool plain; /* without the indirect feature */
} lies[] = {
    {"a loop of one", {{HEADER, 16, N, 0}}, {}, false},
    {"a loop of two", {HDR, {DATA, 16, N, 0}}, {}, false},
    {"a loop of nothing", {{HEADER, 0, N, 0}}, {}, false},
    {"a next out of range", {{HEADER, 16, N, VQ_SIZE}}, {}, false},
    {"a next that leads to a good one", {{HEADER, 16, N, LAST_OF_PAGE}}, {}, false},
    {"a next far out of range", {{HEADER, 16, N, 0xffff}}, {}, false},
    {"nothing but lengths of zero", {{HEADER, 0, N, 1}, {STATUS, 0, W, 0}}, {}, false},
    {"a header cut short", {{HEADER, 15, N, 1}, STA}, {}, false},
    {"no room for the status", {{HEADER, 16, 0, 0}}, {}, false},
    {"only room for the status", {STA}, {}, false},
    {"a length of 4 GiB less 1", {HDR, {DATA, 0xffffffff, N | W, 2}, STA}, {}, false},
    {"a buffer past the end of RAM", {HDR, {RAM_END - 256, 512, N | W, 2}, STA}, {}, false},
    {"a buffer in the registers", {HDR, {0xfeb00000u, 512, N | W, 2}, STA}, {}, false},
    {"an address that wraps", {HDR, {~0ull - 15, 512, N | W, 2}, STA}, {}, false},
    {"readable after writable", {HDR, {STATUS, 1, N | W, 2}, {DATA, 512, 0, 0}}, {}, false},
    {"indirect without the feature", {INDIRECT(32)}, {HDR, STA}, true},
    {"indirect with a successor", {{TABLE, 32, I | N, 1}, STA}, {HDR, STA}, false},
    {"indirect of no length", {INDIRECT(0)}, {}, false},
    {"indirect of a broken length", {INDIRECT(31)}, {HDR, STA}, false},
    {"indirect within indirect", {INDIRECT(32)}, {INDIRECT(32)}, false},
    {"indirect not in RAM", {{RAM_END - 16, 32, I, 0}}, {}, false},
    {"indirect of 4 GiB", {INDIRECT(0xfffffff0)}, {}, false},
    {"indirect that loops", {INDIRECT(32)}, {HDR, {DATA, 16, N, 0}}, false},
    {"indirect that runs out", {INDIRECT(32)}, {HDR, {DATA, 16, N, 2}}, false},
};

static void wait_broken(struct vblk *b, const char *what)
{
    uint32_t start = pm_now();
    while (!(vblk_status(b) & NEEDS_RESET)) {
        if (pm_ms_since(start) < IMPATIENCE_MS)
            continue;
        print("FAILED: the device swallows %s\n", what);
        finish(FAIL);
    }
}

static void make_available(struct vblk *b, uint16_t head, uint16_t step)
{
    struct vq *vq = &b->vq[0];
    vq->avail.ring[vq->avail.idx % VQ_SIZE] = head;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    *(volatile uint16_t *)&vq->avail.idx = (uint16_t)(vq->avail.idx + step);
    vblk_notify(b, 0);
}

static void one_lie(struct vblk *b, unsigned i)
{
    vblk_start(b, lies[i].plain ? 0 : F_INDIRECT, 1, NO_VECTOR);
    memcpy(b->vq[0].desc, lies[i].desc, sizeof lies[i].desc);
    *(struct vq_desc *)((uintptr_t)b->vq + LAST_OF_PAGE * 16) = d(STATUS, 1, W, 0);
    memcpy((void *)TABLE, lies[i].table, sizeof lies[i].table);
    void_header(BLK_FLUSH, 0);
    make_available(b, 0, 1);
    wait_broken(b, lies[i].what);
    vblk_notify(b, 0); /* a broken device stays quiet */
}

static void lying_rings(struct vblk *b, const char *after)
{
    for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        one_lie(b, i);
        if (i % 8 == 0)
            still_well(NULL);
    }
    static const uint16_t heads[] = {VQ_SIZE, 0x7fff, 0xffff};
    for (unsigned i = 0; i < 3; i++) {
        vblk_start(b, 0, 1, NO_VECTOR);
        make_available(b, heads[i], 1);
        wait_broken(b, "a head out of range");
    }
    static const uint16_t steps[] = {VQ_SIZE + 1, 0x8000, 0xffff};
    for (unsigned i = 0; i < 3; i++) {
        vblk_start(b, 0, 1, NO_VECTOR); /* every entry a request that is answered at once */
        vblk_put(b, 0, 0, BLK_GET_ID, 0, (void *)(uintptr_t)DATA, 20);
        b->vq[0].avail.idx = 0;
        make_available(b, 0, steps[i]);
        wait_broken(b, "an index ahead of the ring");
    }
    still_well(after);
}

/* Rings at impossible places do not become ready. */
static void misplaced_rings(void)
{
    static const uint32_t places[] = {1, VOID + 1, RAM_END - 16, RAM_END, 0xfeb00000u, 0xfffffff0u};
    uintptr_t regs = pci_victim.common;
    for (unsigned i = 0; i < 3 * sizeof places / sizeof places[0]; i++) {
        vblk_reset(&pci_victim);
        vblk_set_status(&pci_victim, ACKNOWLEDGE | DRIVER);
        write32(regs + 0x08, 1);
        write32(regs + 0x0c, 1); /* VERSION_1 */
        vblk_set_status(&pci_victim, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        write16(regs + 0x16, 0);
        for (unsigned area = 0; area < 3; area++)
            write32(regs + 0x20 + 8 * area, area == i % 3 ? places[i / 3] : VOID + area * 0x10000);
        write16(regs + 0x1c, 1);
        CHECK(read16(regs + 0x1c) == 0);
        CHECK(vblk_status(&pci_victim) & NEEDS_RESET);
        vblk_set_status(&pci_victim, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        vblk_notify(&pci_victim, 0);
    }
    still_well("rings at impossible places");
}

/* After DRIVER_OK the registers are frozen: the device works on as if nothing had been written. */
static void rewritten_registers(void)
{
    uintptr_t regs = pci_victim.common;
    vblk_start(&pci_victim, 0, 1, NO_VECTOR);
    for (unsigned i = 0; i < 40; i++) {
        write16(regs + 0x16, 0);
        write16(regs + 0x18, (uint16_t)odd_number());
        write32(regs + 0x20 + 4 * below(6), odd_number());
        write16(regs + 0x1c, (uint16_t)below(2));
        write32(regs + 0x08, below(3));
        write32(regs + 0x0c, chance());
        vblk_set_status(&pci_victim, (uint8_t)(chance() | 1) & 0x0f);
        vblk_put(&pci_victim, 0, 0, BLK_IN, 1, copy, SECTOR);
        vblk_notify(&pci_victim, 0);
        CHECK(vblk_poll(&pci_victim, 0, 1, IMPATIENCE_MS));
        CHECK(pci_victim.request[0][0].status == BLK_OK);
    }
    still_well("registers rewritten while in use");
}

/* Requests in flight, one head twice, and a reset before they are done. */
static void resets_in_flight(struct vblk *b)
{
    for (unsigned i = 0; i < 12 * rounds; i++) {
        vblk_start(b, chance() % 2 ? F_INDIRECT : 0, 1, NO_VECTOR);
        for (unsigned n = 0; n < 4; n++)
            vblk_put(b, 0, n, chance() % 2 ? BLK_IN : BLK_OUT, below(SECTORS),
                     (void *)(uintptr_t)(DATA + n * SECTOR), SECTOR);
        if (i % 4 == 0)
            make_available(b, 0, 1);
        vblk_notify(b, 0);
        for (unsigned spin = below(4); spin; spin--)
            (void)vblk_status(b);
        vblk_reset(b);
        memset((void *)(uintptr_t)DATA, 0x5a, SECTOR);
        CHECK(read32(DATA) == 0x5a5a5a5a); /* and nothing is written afterwards */
    }
}

/* --- rings that change under the device --- */

/* A descriptor that leads nowhere dangerous, whatever is done with it. */
static void junk_desc(volatile struct vq_desc *at, uint32_t *state)
{
    uint32_t r = *state = chance_step(*state);
    at->addr = r % 8 == 0   ? 0xfeb00000u
               : r % 8 == 1 ? RAM_END - 64
                            : VOID + (r >> 8) % (VOID_BYTES - 0x100000);
    r = *state = chance_step(*state);
    at->len = r % 4 ? r >> 8 & 0x3ff : r >> 16;
    r = *state = chance_step(*state);
    at->flags = (uint16_t)(r % 8 ? r & 3 : r);
    at->next = (uint16_t)(r >> 16) % (r & 1 ? VQ_SIZE + 2 : VQ_SIZE);
}

static volatile bool vandalize, vandal_busy, vandal_there;
static struct vblk *volatile vandal_victim;

/* Registers of a running device, but for a reset. */
static void junk_running_register(const struct vblk *b, uint32_t *state)
{
    uint32_t r = *state = chance_step(*state);
    if (b->mmio)
        write32(b->common + (0x30 + (r & 0x7c)) % 0x100, r >> 8 | 1);
    else if (r & 1)
        write32(b->common + 0x20 + (r >> 8) % 6 * 4, r);
    else
        write16(b->common + 0x16 + (r >> 8) % 5 * 2, (uint16_t)(r >> 16));
}

static void vandal(unsigned id)
{
    uint32_t state = 0x9e3779b9u + id;
    vandal_there = true;
    for (;;) {
        __asm__ volatile("pause");
        vandal_busy = true;
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (!vandalize) {
            vandal_busy = false;
            continue;
        }
        struct vq *vq = &vandal_victim->vq[0];
        junk_desc(&vq->desc[state % VQ_SIZE], &state);
        volatile struct vq_desc *table = (volatile struct vq_desc *)(uintptr_t)TABLE;
        junk_desc(&table[state % 16], &state);
        if (state % 8 == 0)
            *(volatile uint16_t *)&vq->avail.ring[state >> 8 & 15] =
                (uint16_t)(state >> 16) % VQ_SIZE;
        if (state % 16 == 0)
            *(volatile uint32_t *)(uintptr_t)HEADER = state >> 8 & 15;
        if (state % 32 == 1)
            junk_running_register(vandal_victim, &state);
    }
}

static void set_vandal(bool on)
{
    vandalize = on;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    while (!on && vandal_busy)
        __asm__ volatile("pause");
}

static void changing_rings(struct vblk *b, const char *after)
{
    vandal_victim = b;
    for (unsigned i = 0; i < 16 * rounds; i++) {
        vblk_start(b, F_INDIRECT | (i % 2 ? F_EVENT_IDX : 0), 1, NO_VECTOR);
        void_header(below(2), below(SECTORS));
        for (unsigned n = 0; n < VQ_SIZE; n++) {
            b->vq[0].desc[n] = d(HEADER, 16, N, (uint16_t)((n + 1) % VQ_SIZE));
            b->vq[0].avail.ring[n] = (uint16_t)n;
        }
        set_vandal(true);
        for (unsigned kick = 0; kick < 8 && !(vblk_status(b) & NEEDS_RESET); kick++) {
            *(volatile uint16_t *)&b->vq[0].avail.idx =
                (uint16_t)(b->vq[0].avail.idx + 1 + below(4));
            vblk_notify(b, 0);
        }
        if (i % 8 == 0)
            still_well(NULL);
        if (i % 2)
            set_vandal(false);
        vblk_set_status(b, 0);
        set_vandal(false);
        vblk_reset(b);
    }
    still_well(after);
}

/* Whole pages of chance as rings. */
static void random_rings(struct vblk *b)
{
    for (unsigned i = 0; i < 40 * rounds; i++) {
        vblk_start(b, chance() % 2 ? F_INDIRECT : 0, 1, NO_VECTOR);
        for (unsigned n = 0; n < VQ_SIZE; n++) {
            junk_desc(&b->vq[0].desc[n], &chance_state);
            b->vq[0].avail.ring[n] = (uint16_t)below(VQ_SIZE + (i % 8 == 0));
        }
        void_header(below(16), chance() % 2 ? below(SECTORS + 2) : odd_number());
        b->vq[0].desc[below(VQ_SIZE)].addr = HEADER;
        b->vq[0].avail.idx = (uint16_t)below(VQ_SIZE + 1);
        vblk_notify(b, 0);
    }
    vblk_reset(b);
}

/* --- the end of it --- */

static void works_again(struct vblk *b)
{
    vblk_start(b, F_FLUSH, 1, NO_VECTOR);
    memset(buf, 'z', SECTOR);
    vblk_put(b, 0, 0, BLK_OUT, 9, buf, SECTOR);
    vblk_notify(b, 0);
    CHECK(vblk_poll(b, 0, 1, IMPATIENCE_MS) && b->request[0][0].status == BLK_OK);
    memset(copy, 0, SECTOR);
    vblk_put(b, 0, 0, BLK_IN, 9, copy, SECTOR);
    vblk_notify(b, 0);
    CHECK(vblk_poll(b, 0, 1, IMPATIENCE_MS) && b->request[0][0].status == BLK_OK);
    CHECK(!memcmp(buf, copy, SECTOR));
}

void guest_main(void)
{
    chance_state = asked_number("seed=", 1);
    rounds = asked_number("rounds=", 1);
    irq_setup();
    lapic_enable();
    vblk_find_pci(&good, GOOD_SLOT, rings[0]);
    vblk_msix(&good, 0, GOOD_VECTOR, lapic_id());
    vblk_start(&good, F_FLUSH, 1, 0);
    vblk_find_pci(&pci_victim, VICTIM_SLOT, rings[1]);
    victim_config.bar[0] = pci_read(VICTIM_SLOT, 0x10);
    victim_config.bar[1] = pci_read(VICTIM_SLOT, 0x14);
    victim_config.command = pci_read16(VICTIM_SLOT, 4);
    vblk_find_mmio(&mmio_victim, 0, rings[2]);
    still_well("nothing yet");

    ports();
    fw_cfg_dma();
    configuration();
    bars_astray();
    registers();
    misplaced_rings();
    rewritten_registers();
    lying_rings(&pci_victim, "lying rings over PCI");
    lying_rings(&mmio_victim, "lying rings over MMIO");
    random_rings(&pci_victim);
    random_rings(&mmio_victim);
    still_well("random rings");
    resets_in_flight(&pci_victim);
    resets_in_flight(&mmio_victim);
    still_well("resets in flight");
    smp_start(1, vandal);
    while (!vandal_there)
        ;
    changing_rings(&pci_victim, "rings changing under the device over PCI");
    changing_rings(&mmio_victim, "rings changing under the device over MMIO");
    works_again(&pci_victim);
    works_again(&mmio_victim);
    print("the victims work again\n");
}
