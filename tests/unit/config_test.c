// SPDX-License-Identifier: MIT
//
// What a command line comes to. The texts of errors and of -n are in tests/cli; here it is what
// the machine reads.
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "tests/lib/suite.h"
#include "util.h"
#include "virtio.h"

static struct config cfg;
static struct err err;
static enum config_outcome outcome;

static int parse_argv(char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    config_free(&cfg);
    err.msg[0] = '\0';
    return config_parse(&cfg, argc, argv, &outcome, &err);
}

#define PARSE(...) parse_argv((char *[]){"minivmm", __VA_ARGS__, NULL})
#define PARSE_K(...) PARSE("-kernel", "k", __VA_ARGS__)

static void clean(void)
{
    config_free(&cfg);
}

START_TEST(kernel_alone_gets_the_defaults)
{
    ck_assert_int_eq(PARSE("-kernel", "k"), 0);
    ck_assert_int_eq(outcome, CONFIG_RUN);
    ck_assert_str_eq(cfg.kernel, "k");
    ck_assert_str_eq(cfg.append, "console=ttyS0");
    ck_assert_uint_eq(cfg.ram_size, MIB(512));
    ck_assert_uint_eq(cfg.smp, 1);
    ck_assert_uint_eq(cfg.naccels, 1);
    ck_assert_str_eq(cfg.accels[0], "auto");
    ck_assert(cfg.accel_probe);
    ck_assert_str_eq(cfg.serials[0], "stdio");
    ck_assert_ptr_null(cfg.serials[1]);
    ck_assert_uint_eq(cfg.ndisks, 0);
    ck_assert(!cfg.debug_exit);
    ck_assert(!cfg.no_reboot);
    ck_assert_uint_eq(cfg.timeout_s, 0);
    ck_assert_int_eq(cfg.unpack, KERNEL_UNPACK_AUTO);
}
END_TEST

START_TEST(nothing_to_boot_is_an_error_even_with_n)
{
    ck_assert_int_eq(PARSE("-n"), -EINVAL);
    ck_assert_int_eq(PARSE("-append", "x"), -EINVAL);
    ck_assert_int_eq(PARSE("-initrd", "x"), -EINVAL);
}
END_TEST

START_TEST(default_append_names_the_root_disk_only_without_initrd)
{
    ck_assert_int_eq(PARSE_K("-disk", "d"), 0);
    ck_assert_str_eq(cfg.append, "console=ttyS0 root=/dev/vda rw");
    ck_assert_int_eq(PARSE_K("-disk", "d,ro"), 0);
    ck_assert_str_eq(cfg.append, "console=ttyS0 root=/dev/vda ro");
    ck_assert_int_eq(PARSE_K("-disk", "d", "-initrd", "i"), 0);
    ck_assert_str_eq(cfg.append, "console=ttyS0");
    ck_assert_int_eq(PARSE_K("-disk", "d", "-append", ""), 0);
    ck_assert_str_eq(cfg.append, "");
}
END_TEST

START_TEST(append_without_first_serial_port_names_no_console)
{
    ck_assert_int_eq(PARSE_K("-serial", "none"), 0);
    ck_assert_str_eq(cfg.append, "");
    ck_assert_ptr_null(cfg.serials[0]);
}
END_TEST

START_TEST(memory_is_rounded_up_to_a_page)
{
    ck_assert_int_eq(PARSE_K("-m", "16385K"), 0);
    ck_assert_uint_eq(cfg.ram_size, KIB(16388));
    ck_assert_int_eq(PARSE_K("-m", "16"), 0);
    ck_assert_uint_eq(cfg.ram_size, MIB(16));
    ck_assert_int_eq(PARSE_K("-m", "1T"), 0);
    ck_assert_uint_eq(cfg.ram_size, GIB(1024));
}
END_TEST

START_TEST(memory_outside_its_bounds_is_refused)
{
    ck_assert_int_eq(PARSE_K("-m", "15"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-m", "16383K"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-m", "1025G"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-m", "18446744073709551615K"), -EINVAL);
}
END_TEST

START_TEST(cpu_count_follows_from_any_consistent_words)
{
    static const struct {
        char *words;
        unsigned cpus; /* 0: refused */
    } rows[] = {
        {"3", 3},
        {"cpus=255", 255},
        {"256", 0},
        {"0", 0},
        {"sockets=2,cores=3", 6},
        {"8,cores=4", 8},
        {"8,cores=3", 0},
        {"2,sockets=2,cores=2,threads=2", 0},
        {"8,sockets=2,cores=2,threads=2", 8},
        {"threads=2", 2},
        {"2,maxcpus=4", 0},
        {"4,maxcpus=4", 4},
        {"sockets=16,cores=16", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int rc = PARSE_K("-smp", rows[i].words);
        ck_assert_msg(rc == (rows[i].cpus ? 0 : -EINVAL), "%s", rows[i].words);
        if (!rc)
            ck_assert_uint_eq(cfg.smp, rows[i].cpus);
    }
}
END_TEST

START_TEST(engines_are_kept_in_order_without_repetition)
{
    ck_assert_int_eq(PARSE_K("-accel", "none:kvm", "-accel", "none", "-enable-kvm"), 0);
    ck_assert_uint_eq(cfg.naccels, 2);
    ck_assert_str_eq(cfg.accels[0], "none");
    ck_assert_str_eq(cfg.accels[1], "kvm");
    ck_assert_int_eq(PARSE_K("-machine", "q35,accel=none"), 0);
    ck_assert_uint_eq(cfg.naccels, 1);
    ck_assert_str_eq(cfg.accels[0], "none");
}
END_TEST

START_TEST(engines_may_be_followed_by_probe_off)
{
    ck_assert_int_eq(PARSE_K("-accel", "kvm:auto,probe=off"), 0);
    ck_assert_uint_eq(cfg.naccels, 2);
    ck_assert_str_eq(cfg.accels[0], "kvm");
    ck_assert_str_eq(cfg.accels[1], "auto");
    ck_assert(!cfg.accel_probe);
    ck_assert_int_eq(PARSE_K("-accel", "kvm,probe=perhaps"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-accel", "kvm,thread=multi"), -EINVAL);
}
END_TEST

START_TEST(disk_words_reach_the_backend)
{
    ck_assert_int_eq(PARSE_K("-disk", "a,,b,ro,serial=S,cache=none,aio=io_uring,bus=mmio,queues=3"),
                     0);
    const struct disk_config *d = &cfg.disks[0];
    ck_assert_str_eq(d->block.path, "a,b");
    ck_assert(d->block.read_only);
    ck_assert(!d->block.snapshot);
    ck_assert_str_eq(d->block.serial, "S");
    ck_assert_int_eq(d->block.cache, BLK_CACHE_NONE);
    ck_assert_int_eq(d->block.aio, BLK_AIO_URING);
    ck_assert_int_eq(d->bus, VIRTIO_BUS_MMIO);
    ck_assert_uint_eq(d->queues, 3);
    ck_assert(d->attached);
}
END_TEST

START_TEST(disk_has_a_queue_per_cpu_up_to_the_limit)
{
    ck_assert_int_eq(PARSE_K("-disk", "d", "-smp", "4"), 0);
    ck_assert_uint_eq(cfg.disks[0].queues, 4);
    ck_assert_int_eq(PARSE_K("-disk", "d", "-smp", "255"), 0);
    ck_assert_uint_eq(cfg.disks[0].queues, VIRTIO_MAX_QUEUES);
}
END_TEST

START_TEST(snapshot_reaches_every_disk_wherever_it_stands)
{
    ck_assert_int_eq(PARSE_K("-disk", "a", "-snapshot", "-drive", "file=b,snapshot=off"), 0);
    ck_assert(cfg.disks[0].block.snapshot);
    ck_assert(cfg.disks[1].block.snapshot);
}
END_TEST

START_TEST(disks_stand_in_the_order_of_what_attaches_them)
{
    ck_assert_int_eq(PARSE_K("-drive", "file=a,if=none,id=a", "-drive", "file=b,if=none,id=b",
                             "-device", "virtio-blk,drive=b", "-disk", "c", "-device",
                             "virtio-blk-device,drive=a,num-queues=2,serial=A"),
                     0);
    ck_assert_uint_eq(cfg.ndisks, 3);
    ck_assert_str_eq(cfg.disks[0].block.path, "b");
    ck_assert_int_eq(cfg.disks[0].bus, VIRTIO_BUS_PCI);
    ck_assert_str_eq(cfg.disks[1].block.path, "c");
    ck_assert_str_eq(cfg.disks[2].block.path, "a");
    ck_assert_int_eq(cfg.disks[2].bus, VIRTIO_BUS_MMIO);
    ck_assert_uint_eq(cfg.disks[2].queues, 2);
    ck_assert_str_eq(cfg.disks[2].block.serial, "A");
}
END_TEST

START_TEST(drive_and_device_must_fit_together)
{
    ck_assert_int_eq(PARSE_K("-drive", "file=a,if=none,id=a"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-drive", "file=a,if=none"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-device", "virtio-blk-pci,drive=a"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-drive", "file=a,id=a", "-device", "virtio-blk-pci,drive=a"),
                     -EINVAL);
    ck_assert_int_eq(PARSE_K("-drive", "file=a,id=a", "-drive", "file=b,id=a"), -EINVAL);
}
END_TEST

START_TEST(disk_limits_are_errors_not_overflows)
{
    enum { N = CONFIG_MAX_DISKS };
    char *argv[3 + 2 * (N + 1) + 1] = {"minivmm", "-kernel", "k"};
    for (unsigned i = 0; i < N; i++) {
        argv[3 + 2 * i] = "-disk";
        argv[4 + 2 * i] = "d";
    }
    ck_assert_int_eq(parse_argv(argv), 0);
    ck_assert_uint_eq(cfg.ndisks, N);
    argv[3 + 2 * N] = "-disk";
    argv[4 + 2 * N] = "d";
    ck_assert_int_eq(parse_argv(argv), -EINVAL);
    for (unsigned i = 0; i <= N; i++) {
        argv[3 + 2 * i] = "-device";
        argv[4 + 2 * i] = "virtio-blk,drive=d";
    }
    ck_assert_int_eq(parse_argv(argv), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.msg, "more than"));
}
END_TEST

START_TEST(many_repeated_options_are_fine)
{
    enum { N = 500 };
    char *argv[3 + 2 * N + 1] = {"minivmm", "-kernel", "k"};
    for (unsigned i = 0; i < N; i++) {
        argv[3 + 2 * i] = "-accel";
        argv[4 + 2 * i] = i % 2 ? "kvm" : "none";
    }
    ck_assert_int_eq(parse_argv(argv), 0);
    ck_assert_uint_eq(cfg.naccels, 2);
}
END_TEST

START_TEST(debug_exit_has_qemus_defaults)
{
    ck_assert_int_eq(PARSE_K("-device", "isa-debug-exit"), 0);
    ck_assert(cfg.debug_exit);
    ck_assert_uint_eq(cfg.debug_exit_port, 0x501);
    ck_assert_uint_eq(cfg.debug_exit_size, 2);
    ck_assert_int_eq(PARSE_K("-device", "isa-debug-exit,iobase=0xf4,iosize=4"), 0);
    ck_assert_uint_eq(cfg.debug_exit_port, 0xf4);
    ck_assert_uint_eq(cfg.debug_exit_size, 4);
}
END_TEST

START_TEST(debug_exit_stays_inside_the_port_space)
{
    ck_assert_int_eq(PARSE_K("-device", "isa-debug-exit,iobase=0xfffc,iosize=4"), 0);
    ck_assert_int_eq(PARSE_K("-device", "isa-debug-exit,iobase=0xfffd,iosize=4"), -EINVAL);
}
END_TEST

START_TEST(serial_options_fill_the_ports_in_order)
{
    ck_assert_int_eq(PARSE_K("-serial", "mon:stdio", "-serial", "file:x,y"), 0);
    ck_assert_str_eq(cfg.serials[0], "stdio");
    ck_assert_str_eq(cfg.serials[1], "file:x,y");
    ck_assert_int_eq(PARSE_K("-serial", "none", "-serial", "pty"), 0);
    ck_assert_ptr_null(cfg.serials[0]);
    ck_assert_str_eq(cfg.serials[1], "pty");
    ck_assert_int_eq(PARSE_K("-serial", "pty", "-serial", "pty", "-serial", "pty"), -EINVAL);
    ck_assert_int_eq(PARSE_K("-serial", "stdio", "-serial", "stdio"), -EINVAL);
}
END_TEST

START_TEST(scalar_options_reach_their_fields)
{
    ck_assert_int_eq(PARSE_K("-no-reboot", "-timeout", "7", "-pidfile", "p", "-name", "n",
                             "-d", "guest,boot", "-D", "log", "-kernel-unpack", "guest"),
                     0);
    ck_assert(cfg.no_reboot);
    ck_assert_uint_eq(cfg.timeout_s, 7);
    ck_assert_str_eq(cfg.pidfile, "p");
    ck_assert_str_eq(cfg.name, "n");
    ck_assert_str_eq(cfg.log_items, "guest,boot");
    ck_assert_str_eq(cfg.log_file, "log");
    ck_assert_int_eq(cfg.unpack, KERNEL_UNPACK_GUEST);
}
END_TEST

START_TEST(asking_for_information_does_not_run)
{
    ck_assert_int_eq(PARSE("-h"), 0);
    ck_assert_int_eq(outcome, CONFIG_STOP);
    ck_assert_int_eq(PARSE("-version"), 0);
    ck_assert_int_eq(outcome, CONFIG_STOP);
    ck_assert_int_eq(PARSE("-device", "help"), 0);
    ck_assert_int_eq(outcome, CONFIG_STOP);
    ck_assert_int_eq(PARSE_K("-n"), 0);
    ck_assert_int_eq(outcome, CONFIG_STOP);
}
END_TEST

START_TEST(failed_parse_leaves_nothing_behind)
{
    struct config nothing = {0};
    ck_assert_int_eq(PARSE_K("-disk", "d", "-bogus"), -EINVAL);
    ck_assert_int_eq(outcome, CONFIG_STOP);
    ck_assert_mem_eq(&cfg, &nothing, sizeof nothing);
}
END_TEST

/* A printed configuration is one `key = value` a line, whatever the user's texts hold. */
START_TEST(printed_configuration_is_one_line_per_key)
{
    ck_assert_int_eq(PARSE_K("-append", "a\nb = c\\", "-name", "x\ry"), 0);
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    ck_assert_ptr_nonnull(f);
    config_print(&cfg, f);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "\nappend = a\\x0ab = c\\\\\n"));
    ck_assert_ptr_nonnull(strstr(text, "name = x\\x0dy\n"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_msg(strstr(line, " = ") != NULL, "%s", line);
    free(text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        kernel_alone_gets_the_defaults,
        nothing_to_boot_is_an_error_even_with_n,
        default_append_names_the_root_disk_only_without_initrd,
        append_without_first_serial_port_names_no_console,
        memory_is_rounded_up_to_a_page,
        memory_outside_its_bounds_is_refused,
        cpu_count_follows_from_any_consistent_words,
        engines_are_kept_in_order_without_repetition,
        engines_may_be_followed_by_probe_off,
        disk_words_reach_the_backend,
        disk_has_a_queue_per_cpu_up_to_the_limit,
        snapshot_reaches_every_disk_wherever_it_stands,
        disks_stand_in_the_order_of_what_attaches_them,
        drive_and_device_must_fit_together,
        disk_limits_are_errors_not_overflows,
        many_repeated_options_are_fine,
        debug_exit_has_qemus_defaults,
        debug_exit_stays_inside_the_port_space,
        serial_options_fill_the_ports_in_order,
        scalar_options_reach_their_fields,
        asking_for_information_does_not_run,
        failed_parse_leaves_nothing_behind,
        printed_configuration_is_one_line_per_key,
    };
    return suite_run_tests("config", NULL, clean, tests, ARRAY_LEN(tests));
}
