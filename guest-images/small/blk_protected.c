// SPDX-License-Identifier: MIT
//
// virtio-blk from the driver's side: two disks, the second read-only. Words on the command line say
// how: the transport (pci, or mmio with the IOAPIC), over PCI the interrupts (msix through the
// local APIC, or intx through the PIC, level-triggered), and ring features (indirect, event). The
// image holds lines "sector N ..." of 512 bytes; the runner checks afterwards what we wrote.
#include "virtio.h"

#define DISKS 2
#define SECTORS 64
#define VECTOR(disk, q) (0x40 + 0x10 * (disk) + (q))
#define WRITTEN 8 /* first sector written, and how many */
#define WRITTEN_SECTORS 8
#define ZEROED 24
#define SECOND_QUEUE_SECTOR 40

static struct vq rings[DISKS][VQ_MAX];
static struct vblk disk[DISKS];
static uint8_t buf[WRITTEN_SECTORS * SECTOR], copy[WRITTEN_SECTORS * SECTOR];
static volatile unsigned interrupts;
static unsigned queues = 1;

/* --- interrupts --- */

static void on_msix(void)
{
    interrupts++;
}

static void on_line(void)
{
    for (unsigned d = 0; d < DISKS; d++)
        interrupts += vblk_acknowledge(&disk[d]) & 1;
}

static void connect_msix(unsigned d)
{
    for (unsigned q = 0; q < queues; q++) {
        irq_handler[VECTOR(d, q)] = on_msix;
        vblk_msix(&disk[d], q, VECTOR(d, q), lapic_id());
    }
}

static void connect_pic(unsigned d)
{
    unsigned irq = pci_read(disk[d].slot, 0x3c) & 0xff;
    CHECK(irq == 10 || irq == 11);
    irq_handler[PIC_VECTOR(irq)] = on_line;
    pic_set_level(irq, true);
    pic_unmask(irq);
}

static void connect_ioapic(unsigned d)
{
    irq_handler[VECTOR(d, 0)] = on_line;
    ioapic_route(VIRTIO_MMIO_PIN(d), VECTOR(d, 0), lapic_id(), IOAPIC_LEVEL);
}

static void set_up(unsigned d)
{
    if (asked("mmio"))
        vblk_find_mmio(&disk[d], d, rings[d]);
    else
        vblk_find_pci(&disk[d], d + 1, rings[d]);
    if (asked("mmio"))
        connect_ioapic(d);
    else if (asked("msix"))
        connect_msix(d);
    else
        connect_pic(d);
}

static void start(unsigned d)
{
    uint64_t features = F_FLUSH | (asked("indirect") ? F_INDIRECT : 0) |
                        (asked("event") ? F_EVENT_IDX : 0) | (d ? F_RO : F_WRITE_ZEROES) |
                        (queues > 1 ? F_MQ : 0);
    vblk_start(&disk[d], features, queues, asked("msix") ? 0 : NO_VECTOR);
}

/* --- tests --- */

static void check_line(const uint8_t *sector, unsigned number)
{
    static const char word[] = "sector ";
    CHECK(!memcmp(sector, word, 7));
    unsigned v = 0;
    for (sector += 7; *sector >= '0' && *sector <= '9'; sector++)
        v = v * 10 + (*sector - '0');
    CHECK(v == number);
}

static void identify(void)
{
    for (unsigned d = 0; d < DISKS; d++) {
        char id[21] = {0};
        CHECK(vblk_capacity(&disk[d]) == SECTORS);
        CHECK(vblk_do(&disk[d], 0, BLK_GET_ID, 0, id, 20) == BLK_OK);
        print("disk %u is '%s'\n", d, id);
    }
}

static void read_write(void)
{
    CHECK(vblk_do(&disk[0], 0, BLK_IN, 0, buf, 4 * SECTOR) == BLK_OK);
    for (unsigned i = 0; i < 4; i++)
        check_line(buf + i * SECTOR, i);
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)('a' + i % 26);
    CHECK(vblk_do(&disk[0], 0, BLK_OUT, WRITTEN, buf, sizeof buf) == BLK_OK);
    CHECK(vblk_do(&disk[0], 0, BLK_FLUSH, 0, NULL, 0) == BLK_OK);
    CHECK(vblk_do(&disk[0], 0, BLK_IN, WRITTEN, copy, sizeof copy) == BLK_OK);
    CHECK(!memcmp(buf, copy, sizeof buf));
    CHECK(vblk_do(&disk[0], 0, BLK_IN, WRITTEN + WRITTEN_SECTORS, buf, SECTOR) == BLK_OK);
    check_line(buf, WRITTEN + WRITTEN_SECTORS);
    print("written, flushed, read back\n");
}

static void write_zeroes(void)
{
    struct {
        uint64_t sector;
        uint32_t sectors, flags;
    } range = {ZEROED, 4, 0};
    CHECK(vblk_do(&disk[0], 0, BLK_WRITE_ZEROES, 0, &range, sizeof range) == BLK_OK);
    CHECK(vblk_do(&disk[0], 0, BLK_IN, ZEROED, copy, 4 * SECTOR) == BLK_OK);
    for (unsigned i = 0; i < 4 * SECTOR; i++)
        CHECK(copy[i] == 0);
    print("zeroes written\n");
}

static void refusals(void)
{
    CHECK(vblk_do(&disk[0], 0, BLK_IN, SECTORS, copy, SECTOR) == BLK_IOERR);
    CHECK(vblk_do(&disk[0], 0, BLK_IN, SECTORS - 1, copy, 2 * SECTOR) == BLK_IOERR);
    CHECK(vblk_do(&disk[0], 0, BLK_OUT, SECTORS - 1, buf, 2 * SECTOR) == BLK_IOERR);
    CHECK(vblk_do(&disk[0], 0, BLK_IN, ~0ull, copy, SECTOR) == BLK_IOERR);
    CHECK(vblk_do(&disk[0], 0, BLK_OUT, 1ull << 55, buf, SECTOR) == BLK_IOERR);
    CHECK(vblk_do(&disk[0], 0, BLK_IN, 0, copy, SECTOR - 1) == BLK_IOERR);
    CHECK(vblk_do(&disk[0], 0, 0x1234, 0, buf, SECTOR) == BLK_UNSUPP);
    CHECK(vblk_do(&disk[1], 0, BLK_OUT, 0, buf, SECTOR) == BLK_IOERR);
    CHECK(vblk_do(&disk[1], 0, BLK_IN, 5, copy, SECTOR) == BLK_OK);
    check_line(copy, 5);
    print("what is out of range, unknown or read-only is refused\n");
}

/* Four requests, one kick. With event index, one interrupt as well. */
static void batch(void)
{
    struct blk_request *r[4];
    vblk_expect(&disk[0], 0, 4);
    for (unsigned i = 0; i < 4; i++)
        r[i] = vblk_put(&disk[0], 0, i, BLK_IN, 30 + i, copy + i * SECTOR, SECTOR);
    vblk_kick(&disk[0], 0);
    vblk_wait(&disk[0], 0, 4);
    for (unsigned i = 0; i < 4; i++) {
        CHECK(r[i]->status == BLK_OK);
        check_line(copy + i * SECTOR, 30 + i);
    }
    print("four at once\n");
}

/* Interrupts that wait for it may come in. */
static void let_in(void)
{
    irq_on();
    wait_ms(5);
    irq_off();
}

/* The driver does not want to hear of this one. The reset makes sure that no older one is on its
 * way. */
static void silence(void)
{
    struct vq *vq = &rings[0][0];
    start(0);
    let_in();
    unsigned before = interrupts;
    if (asked("event"))
        vq->avail.used_event = (uint16_t)(disk[0].seen[0] + 0x4000);
    else
        vq->avail.flags = 1;
    struct blk_request *r = vblk_put(&disk[0], 0, 0, BLK_IN, 3, copy, SECTOR);
    vblk_kick(&disk[0], 0);
    CHECK(vblk_poll(&disk[0], 0, 1, 20000));
    let_in();
    vq->avail.flags = 0;
    CHECK(r->status == BLK_OK && interrupts == before);
    print("no interrupt where none is wanted\n");
}

static void second_queue(void)
{
    if (queues < 2)
        return;
    for (unsigned i = 0; i < SECTOR; i++)
        buf[i] = (uint8_t)('A' + i % 26);
    CHECK(vblk_do(&disk[0], 1, BLK_OUT, SECOND_QUEUE_SECTOR, buf, SECTOR) == BLK_OK);
    CHECK(vblk_do(&disk[0], 0, BLK_IN, SECOND_QUEUE_SECTOR, copy, SECTOR) == BLK_OK);
    CHECK(!memcmp(buf, copy, SECTOR));
    let_in();
    CHECK(irq_count[VECTOR(0, 1)] > 0);
    print("the second queue works\n");
}

static void again_after_reset(void)
{
    vblk_reset(&disk[0]);
    CHECK(vblk_do(&disk[1], 0, BLK_IN, 1, copy, SECTOR) == BLK_OK); /* the other goes on */
    start(0);
    CHECK(vblk_do(&disk[0], 0, BLK_IN, 0, buf, SECTOR) == BLK_OK);
    check_line(buf, 0);
    print("works again after a reset\n");
}

void guest_main(void)
{
    irq_setup();
    if (!asked("intx"))
        lapic_enable();
    queues = asked_number("queues=", 1);
    for (unsigned d = 0; d < DISKS; d++) {
        set_up(d);
        start(d);
    }
    identify();
    read_write();
    write_zeroes();
    refusals();
    batch();
    silence();
    second_queue();
    again_after_reset();
    CHECK(interrupts > 10);
}
