// SPDX-License-Identifier: MIT
//
// The guest of tests/end: says "ready", then does what the command line asks for. Some words are ways
// to end, the others are states in which it must be possible to end this machine from outside.
// "key": wait for a byte on COM1 first. "resets=N": start over so often, the other CPUs running and the
// disk in use each time (counted in CMOS memory), before anything else.
#include "virtio.h"
#include "watchdog.h"

#define BOOTS 0x50 /* a CMOS byte that nothing else uses */
#define PM1_CNT 0x604
#define S5 (5u << 10 | 0x2000u)
#define LSR (COM1 + 5)
#define HOLE 0xd0000000u
#define CPUS 4

static struct vq rings[VQ_MAX];
static struct vblk disk;
static uint8_t sector[SECTOR];
static volatile unsigned arrived;

static uint8_t read_key(void)
{
    while (!(inb(LSR) & 1))
        ;
    return inb(COM1);
}

static void power_off(void)
{
    outw(PM1_CNT, S5);
}

static void reset(void)
{
    outb(0x64, 0xfe);
}

static void debug_exit(void)
{
    outb(DEBUG_EXIT, PASS);
}

static void triple_fault(void)
{
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } nothing = {0, 0};
    __asm__ volatile("lidt %0; ud2" : : "m"(nothing));
}

static void spin(void)
{
    __asm__ volatile("cli; 1: jmp 1b");
}

static void halt(void)
{
    __asm__ volatile("cli; hlt");
}

/* Waits for room like any driver, so it stands still when nobody reads. */
static void flood(void)
{
    for (unsigned line = 0;; line++)
        print("line %u of very many lines that say nothing at all\n", line);
}

/* The same without looking for room. */
static void flood_blindly(void)
{
    for (;;)
        outb(COM1, 'x');
}

/* Unclaimed ports: a line each under -d guest. */
static void misbehave(void)
{
    for (;;)
        outb(0xdead, 0);
}

static void disk_start(void)
{
    vblk_find_pci(&disk, 1, rings);
    vblk_start(&disk, 0, 1, NO_VECTOR);
}

static void disk_put(unsigned n)
{
    vblk_put(&disk, 0, n, BLK_OUT, n, sector, SECTOR);
    vblk_notify(&disk, 0);
}

/* Requests are under way whenever the end comes. */
static void disk_busy(void)
{
    disk_start();
    for (;;) {
        for (unsigned n = 0; n < 4; n++)
            disk_put(n);
        CHECK(vblk_poll(&disk, 0, 4, 20000));
    }
}

/* What the host refuses must come back as an error of the request. */
static void disk_fails(void)
{
    disk_start();
    struct blk_request *r = vblk_put(&disk, 0, 0, BLK_OUT, 60, sector, SECTOR);
    vblk_notify(&disk, 0);
    CHECK(vblk_poll(&disk, 0, 1, 20000));
    print("disk status %u\n", r->status);
    power_off();
}

static void engine_failure(void)
{
    void (*nowhere)(void) = (void (*)(void))(uintptr_t)HOLE;
    nowhere();
}

/* Every byte in hexadecimal; q ends. */
static void keys(void)
{
    for (uint8_t key = 0; key != 'q';) {
        key = read_key();
        print("<%x>\n", key);
    }
    power_off();
}

static void ap_spin(unsigned id)
{
    (void)id;
    arrived++;
    spin();
}

static void ap_power_off(unsigned id)
{
    (void)id;
    arrived++;
    while (arrived < 2)
        ;
    power_off();
}

/* Two CPUs end the machine at once. */
static void race(void)
{
    smp_start(1, ap_power_off);
    arrived++;
    debug_exit();
}

static void reset_again(void)
{
    uint32_t wanted = asked_number("resets=", 0);
    unsigned boot = cmos_read(BOOTS);
    if (boot >= wanted)
        return;
    cmos_write(BOOTS, (uint8_t)(boot + 1));
    for (unsigned id = 1; id < CPUS; id++)
        smp_start(id, ap_spin);
    disk_start();
    for (unsigned n = 0; n < 4; n++)
        disk_put(n);
    reset();
    spin();
}

/* For ever, for an end from outside to come in between. */
static void reset_always(void)
{
    reset();
    spin();
}

/* What a kernel's panic notifier does; it may come back. */
static void panic(void)
{
    print("about to panic\n");
    outb(PVPANIC, 1);
    print("still here\n");
    power_off();
}

static void panic_with_crash_kernel(void)
{
    outb(PVPANIC, 2);
    power_off();
}

/* A watchdog of 2 times 50 ms, never served. After a reset by it: power off. */
static void watchdog(void)
{
    watchdog_find();
    if (watchdog_timed_out()) {
        print("reset by the watchdog\n");
        power_off();
    }
    watchdog_start(50);
    for (;;)
        ;
}

/* Neither lines nor text. */
static void write_rubbish(void)
{
    static const uint8_t bytes[] = {0, 1, 7, 0x1b, '[', 'm', 0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80,
                                    '<', '&', '>', '"', ']', ']', '>', '\n', 'e', 'n', 'd', 0xe2};
    for (unsigned i = 0; i < sizeof bytes; i++)
        outb(COM1, bytes[i]);
    debug_exit();
}

static const struct {
    const char *word;
    void (*act)(void);
} acts[] = {
    {"poweroff", power_off}, {"reset", reset_always}, {"exit", debug_exit},
    {"triple", triple_fault}, {"spin", spin}, {"halt", halt}, {"flood", flood},
    {"blind", flood_blindly}, {"misbehave", misbehave}, {"disk", disk_busy},
    {"diskfails", disk_fails}, {"fail", engine_failure}, {"keys", keys}, {"race", race},
    {"panic", panic}, {"crashload", panic_with_crash_kernel}, {"watchdog", watchdog},
    {"rubbish", write_rubbish},
};

void guest_main(void)
{
    if (asked_number("resets=", 0)) {
        irq_setup();
        lapic_enable();
        reset_again();
    }
    if (asked("race")) {
        irq_setup();
        lapic_enable();
    }
    print("ready\n");
    if (asked("key"))
        read_key();
    for (unsigned i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        if (asked(acts[i].word))
            acts[i].act();
    }
    halt();
}
