// SPDX-License-Identifier: MIT
//
// Intel 8042 keyboard controller as in the PS/2 (IBM PS/2 technical reference, "Keyboard and
// auxiliary device controller"), with nothing plugged in. Answers are there at once: the input
// buffer is never full, and every command that has an answer gets one, so no driver runs into a
// timeout. Linux finds a controller, no auxiliary port (the loopback byte comes without the
// auxiliary mark and the port test fails) and no keyboard (a byte sent to it comes back as "resend"
// with the timeout bit) in some thirty accesses; a guest whose ACPI tables say that there is no
// 8042 makes none.
//
// Left out: keyboard and mouse, scan code translation, IRQ12, the address line that A20 masks (RAM
// is always whole; the bit can be read back), passwords.
#include "devices/i8042.h"

#include <errno.h>
#include <stdlib.h>

#include "util.h"

#define DATA_PORT 0x60
#define COMMAND_PORT 0x64
#define PORT92 0x92

#define STATUS_OBF 0x01
#define STATUS_SYS 0x04      /* self test passed */
#define STATUS_COMMAND 0x08  /* the last write went to port 0x64 */
#define STATUS_UNLOCKED 0x10 /* the keylock is open */
#define STATUS_TIMEOUT 0x40  /* a device did not answer */

/* The command byte. */
#define CTR_KBD_INT 0x01
#define CTR_SYS 0x04
#define CTR_KBD_DISABLE 0x10
#define CTR_AUX_DISABLE 0x20
#define CTR_TRANSLATE 0x40

/* The output port; the same A20 bit is in port 0x92. */
#define OUTPUT_NO_RESET 0x01
#define OUTPUT_A20 0x02
#define OUTPUT_KBD_FULL 0x10
#define OUTPUT_LINES_HIGH 0xc0 /* keyboard data and clock */

#define PORT92_RESET 0x01
#define PORT92_A20 0x02

#define KBD_RESEND 0xfe

enum {
    CMD_READ_RAM = 0x20, /* to 0x3f */
    CMD_WRITE_RAM = 0x60, /* to 0x7f */
    CMD_PASSWORD_TEST = 0xa4,
    CMD_AUX_DISABLE = 0xa7,
    CMD_AUX_ENABLE = 0xa8,
    CMD_AUX_TEST = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_KBD_TEST = 0xab,
    CMD_KBD_DISABLE = 0xad,
    CMD_KBD_ENABLE = 0xae,
    CMD_READ_INPUT = 0xc0,
    CMD_READ_OUTPUT = 0xd0,
    CMD_WRITE_OUTPUT = 0xd1,
    CMD_ECHO_KBD = 0xd2,
    CMD_ECHO_AUX = 0xd3,
    CMD_SEND_AUX = 0xd4,
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_TEST_LINES = 0xe0,
    CMD_PULSE = 0xf0, /* to 0xff: output lines of the clear bits go low for 6 us */
};

struct i8042 {
    struct device dev;
    struct i8042_regs regs;
    struct i8042_config cfg;
    struct region data, command, port92;
};

/* IRQ1 follows the output buffer while the command byte allows it. */
static void update_irq(struct i8042 *kbc)
{
    irq_set(&kbc->cfg.irq, kbc->regs.output_full && (kbc->regs.ram[0] & CTR_KBD_INT));
}

static void answer(struct i8042 *kbc, uint8_t val)
{
    kbc->regs.output = val;
    kbc->regs.output_full = true;
    kbc->regs.status &= (uint8_t)~STATUS_TIMEOUT;
    update_irq(kbc);
}

static void answer_timeout(struct i8042 *kbc)
{
    answer(kbc, KBD_RESEND);
    kbc->regs.status |= STATUS_TIMEOUT;
}

static void request_reset(struct i8042 *kbc)
{
    stop_request(&kbc->cfg.stop, STOP_RESET, 0);
}

static void write_output_port(struct i8042 *kbc, uint8_t val)
{
    kbc->regs.a20 = val & OUTPUT_A20;
    if (!(val & OUTPUT_NO_RESET))
        request_reset(kbc);
}

static uint8_t read_output_port(const struct i8042 *kbc)
{
    return (uint8_t)(OUTPUT_NO_RESET | OUTPUT_LINES_HIGH | (kbc->regs.a20 ? OUTPUT_A20 : 0) |
                     (kbc->regs.output_full ? OUTPUT_KBD_FULL : 0));
}

static void set_ram(struct i8042 *kbc, unsigned at, uint8_t val)
{
    kbc->regs.ram[at] = val;
    if (at == 0) {
        kbc->regs.status &= (uint8_t)~STATUS_SYS;
        kbc->regs.status |= val & CTR_SYS; /* the same bit in both */
        update_irq(kbc);
    }
}

static void set_command_byte(struct i8042 *kbc, uint8_t set, uint8_t clear)
{
    set_ram(kbc, 0, (uint8_t)((kbc->regs.ram[0] | set) & ~clear));
}

static void self_test(struct i8042 *kbc)
{
    set_command_byte(kbc, CTR_SYS, 0);
    answer(kbc, 0x55);
}

/* Commands whose data byte comes through port 0x60. */
static bool takes_data(uint8_t cmd)
{
    return (cmd & 0xe0) == CMD_WRITE_RAM || (cmd >= CMD_WRITE_OUTPUT && cmd <= CMD_SEND_AUX);
}

static void run_command(struct i8042 *kbc, uint8_t cmd)
{
    kbc->regs.command = takes_data(cmd) ? cmd : 0;
    if ((cmd & 0xe0) == CMD_READ_RAM) {
        answer(kbc, kbc->regs.ram[cmd & 0x1f]);
        return;
    }
    if (cmd >= CMD_PULSE) {
        if (!(cmd & OUTPUT_NO_RESET))
            request_reset(kbc);
        return;
    }
    switch (cmd) {
    case CMD_PASSWORD_TEST: answer(kbc, 0xf1); break; /* none installed */
    case CMD_AUX_DISABLE: set_command_byte(kbc, CTR_AUX_DISABLE, 0); break;
    case CMD_AUX_ENABLE: set_command_byte(kbc, 0, CTR_AUX_DISABLE); break;
    case CMD_AUX_TEST: answer(kbc, 0x02); break; /* clock line stuck high: nothing there */
    case CMD_SELF_TEST: self_test(kbc); break;
    case CMD_KBD_TEST: answer(kbc, 0x00); break;
    case CMD_KBD_DISABLE: set_command_byte(kbc, CTR_KBD_DISABLE, 0); break;
    case CMD_KBD_ENABLE: set_command_byte(kbc, 0, CTR_KBD_DISABLE); break;
    case CMD_READ_INPUT: answer(kbc, 0x80); break; /* keylock open */
    case CMD_READ_OUTPUT: answer(kbc, read_output_port(kbc)); break;
    case CMD_A20_OFF: kbc->regs.a20 = false; break;
    case CMD_A20_ON: kbc->regs.a20 = true; break;
    case CMD_TEST_LINES: answer(kbc, 0x00); break;
    default: break;
    }
}

static void take_data(struct i8042 *kbc, uint8_t val)
{
    uint8_t cmd = kbc->regs.command;
    kbc->regs.command = 0;
    if ((cmd & 0xe0) == CMD_WRITE_RAM)
        set_ram(kbc, cmd & 0x1f, val);
    else if (cmd == CMD_WRITE_OUTPUT)
        write_output_port(kbc, val);
    else if (cmd == CMD_ECHO_KBD || cmd == CMD_ECHO_AUX)
        answer(kbc, val);
    else /* for the keyboard or, after CMD_SEND_AUX, the mouse */
        answer_timeout(kbc);
}

static uint64_t data_read(void *self, uint64_t off, unsigned size)
{
    struct i8042 *kbc = self;
    (void)off, (void)size;
    kbc->regs.output_full = false;
    kbc->regs.status &= (uint8_t)~STATUS_TIMEOUT;
    update_irq(kbc);
    return kbc->regs.output;
}

static void data_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct i8042 *kbc = self;
    (void)off, (void)size;
    kbc->regs.status &= (uint8_t)~STATUS_COMMAND;
    take_data(kbc, (uint8_t)val);
}

static uint64_t status_read(void *self, uint64_t off, unsigned size)
{
    const struct i8042 *kbc = self;
    (void)off, (void)size;
    return kbc->regs.status | (kbc->regs.output_full ? STATUS_OBF : 0u);
}

static void command_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct i8042 *kbc = self;
    (void)off, (void)size;
    kbc->regs.status |= STATUS_COMMAND;
    run_command(kbc, (uint8_t)val);
}

static uint64_t port92_read(void *self, uint64_t off, unsigned size)
{
    const struct i8042 *kbc = self;
    (void)off, (void)size;
    return (kbc->regs.a20 ? PORT92_A20 : 0u) | (kbc->regs.fast_reset ? PORT92_RESET : 0u);
}

static void port92_write(void *self, uint64_t off, unsigned size, uint64_t val)
{
    struct i8042 *kbc = self;
    (void)off, (void)size;
    bool reset = val & PORT92_RESET;
    kbc->regs.a20 = val & PORT92_A20;
    if (reset && !kbc->regs.fast_reset) /* at the rising edge */
        request_reset(kbc);
    kbc->regs.fast_reset = reset;
}

static const struct io_ops data_io = {data_read, data_write, 1, 1};
static const struct io_ops command_io = {status_read, command_write, 1, 1};
static const struct io_ops port92_io = {port92_read, port92_write, 1, 1};

/* As firmware hands it over: self test passed, A20 on. */
static void i8042_reset(struct device *dev)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    kbc->regs = (struct i8042_regs){
        .ram = {CTR_KBD_INT | CTR_SYS | CTR_AUX_DISABLE | CTR_TRANSLATE},
        .status = STATUS_SYS | STATUS_UNLOCKED,
        .a20 = true,
    };
    update_irq(kbc);
}

static void i8042_fini(struct device *dev)
{
    struct i8042 *kbc = container_of(dev, struct i8042, dev);
    bus_remove(kbc->cfg.pio, &kbc->data);
    bus_remove(kbc->cfg.pio, &kbc->command);
    bus_remove(kbc->cfg.pio, &kbc->port92);
    free(kbc);
}

static const struct device_ops i8042_ops = {i8042_reset, i8042_fini};

struct device *i8042_create(const struct i8042_config *cfg, struct err *err)
{
    struct i8042 *kbc = calloc(1, sizeof *kbc);
    if (!kbc) {
        err_set(err, ENOMEM, "i8042: out of memory");
        return NULL;
    }
    kbc->dev = (struct device){.name = "i8042", .ops = &i8042_ops};
    kbc->cfg = *cfg;
    kbc->data = (struct region){
        .name = "i8042-data", .base = DATA_PORT, .len = 1, .ops = &data_io, .self = kbc};
    kbc->command = (struct region){
        .name = "i8042-command", .base = COMMAND_PORT, .len = 1, .ops = &command_io, .self = kbc};
    kbc->port92 = (struct region){
        .name = "port92", .base = PORT92, .len = 1, .ops = &port92_io, .self = kbc};
    i8042_reset(&kbc->dev);
    if (bus_add(cfg->pio, &kbc->data, err) || bus_add(cfg->pio, &kbc->command, err) ||
        bus_add(cfg->pio, &kbc->port92, err)) {
        i8042_fini(&kbc->dev);
        return NULL;
    }
    return &kbc->dev;
}
