// SPDX-License-Identifier: MIT
//
// Options of QEMU that are not here. Whoever pastes a command line of QEMU's is told for each what
// does the same, or that nothing does. Options that are not in this table get the general answer
// (opt.c).
#include "src/config/config_parse.h"

#define NO_MEDIA                                                                                   \
    "there are no IDE disks, floppies or CD drives; -disk FILE is a virtio disk (ro: only read)"
#define NO_FIRMWARE "there is no firmware: minivmm itself loads the kernel (-kernel FILE)"
#define NO_DISPLAY                                                                                 \
    "there is no display: the console is a serial port (-serial) or a virtio terminal (-console)"
#define NO_9P                                                                                      \
    "there is no 9p; use -share DIR[,tag=T][,ro], and in the guest mount -t virtiofs T /mnt"
#define NO_USB "there is no USB"
#define NO_SOUND "there is no sound"
#define NO_STATE "a machine can be neither saved nor moved"
#define ONE_BOARD "there is one board, and nothing to set on it; leave the option out"
#define PLAIN_RAM "guest RAM is the process's own memory; leave the option out"

const struct opt_choice config_foreign[] = {
    {"hda", NO_MEDIA},
    {"hdb", NO_MEDIA},
    {"hdc", NO_MEDIA},
    {"hdd", NO_MEDIA},
    {"cdrom", NO_MEDIA},
    {"fda", NO_MEDIA},
    {"fdb", NO_MEDIA},
    {"sd", NO_MEDIA},
    {"blockdev", "disks are -drive file=PATH,if=none,id=ID with -device virtio-blk-pci,drive=ID, "
                 "or just -disk PATH"},
    {"virtfs", NO_9P},
    {"fsdev", NO_9P},
    {"net", "write -nic user (which is there by itself), -nic tap,ifname=NAME, or -nic none"},
    {"bios", NO_FIRMWARE},
    {"pflash", NO_FIRMWARE},
    {"boot", NO_FIRMWARE},
    {"L", NO_FIRMWARE},
    {"dtb", "the board is described by ACPI, not by a device tree"},
    {"vnc", NO_DISPLAY},
    {"spice", NO_DISPLAY},
    {"sdl", NO_DISPLAY},
    {"full-screen", NO_DISPLAY},
    {"k", NO_DISPLAY},
    {"usb", NO_USB},
    {"usbdevice", NO_USB},
    {"audio", NO_SOUND},
    {"audiodev", NO_SOUND},
    {"soundhw", NO_SOUND},
    {"parallel", "there is no parallel port"},
    {"daemonize", "start it with & or by a service manager; -pidfile FILE tells its number"},
    {"mon", "write -monitor unix:PATH, or -qmp unix:PATH"},
    {"object", "there are no objects; virtio-rng has the host's entropy by itself, RAM is -m"},
    {"watchdog", "write -device i6300esb, and -watchdog-action ACTION"},
    {"no-shutdown", "minivmm ends with a guest that powered off; leave the option out"},
    {"nodefaults", "what is there by itself is left out with -nic none and -serial none"},
    {"no-user-config", "there are no configuration files; leave the option out"},
    {"readconfig", "there are no configuration files"},
    {"rtc", "the clock shows the host's UTC; with -icount it starts at a fixed date"},
    {"no-acpi", "Linux finds this board's devices by ACPI; leave the option out"},
    {"no-hpet", "there is no HPET; leave the option out"},
    {"uuid", ONE_BOARD},
    {"smbios", ONE_BOARD},
    {"acpitable", ONE_BOARD},
    {"global", ONE_BOARD},
    {"numa", ONE_BOARD},
    {"mem-path", PLAIN_RAM},
    {"mem-prealloc", PLAIN_RAM},
    {"overcommit", PLAIN_RAM},
    {"incoming", NO_STATE},
    {"loadvm", NO_STATE},
    {"sandbox", "leave the option out; minivmm needs no rights beyond its files and /dev/kvm"},
    {"trace", "-d TOPIC logs, -d help lists the topics"},
    {0},
};
