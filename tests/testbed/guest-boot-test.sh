#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the guest in the boot test (see mkinitramfs --init). Over two boots it proves that
# processors, memory, disks, reset and power-off work, in lines that a script can look for:
#
#   TEST phase 1|2            TEST cpus N             TEST memory-kib N      TEST kernel RELEASE
#   TEST complaint LINE       a kernel-log line in which ACPI or the firmware is blamed
#   TEST disk NAME SECTORS    a disk is there; "TEST disk none" without any
#   TEST checksum-1 NAME SUM  written, synced, caches dropped, read back as written
#   TEST checksum-2 ok|bad    the same after the reboot
#   TEST fail TEXT            anything else that went wrong
#   TEST reboot, TEST done    the last words before reset and before power-off
#
# Phase 1 fills the ext4 file system of /dev/vda (and the raw /dev/vdb, if there) with a pattern
# made from a seed, then resets the machine; phase 2 compares and powers off. /mnt/phase on the
# disk tells which phase it is. Kernel command line: test.seed=TEXT test.mib=N (default 1, 4);
# test.stop=1 powers off after phase 1 instead of the reset.
#
# On any machine: guest-boot-test.sh --pattern SEED NAME BYTES prints what phase 1 writes, so that
# verify-image needs not believe the guest.

# SEED: 32767 bytes of hexadecimal digits from a linear congruential generator, in arithmetic that
# every awk has exactly. The length is odd, so that the sectors of a repeated chunk differ.
chunk() {
    awk -v seed="$1" 'BEGIN {
        m = 2147483647
        x = 1
        for (i = 1; i <= length(seed); i++) {
            x = x * 131 + index("0123456789abcdefghijklmnopqrstuvwxyz", substr(seed, i, 1)) + 1
            x -= int(x / m) * m
        }
        for (i = 0; i < 4096; i++) {
            x *= 16807
            x -= int(x / m) * m
            printf "%08x", x
        }
    }' | head -c 32767
}

# CHUNK NAME BYTES: the chunk again and again, each time after a line with the name and a number.
pattern() {
    number=0
    while [ $((number * 32767)) -lt "$3" ]; do
        printf '%s %d\n%s' "$2" "$number" "$1"
        number=$((number + 1))
    done | head -c "$3"
}

if [ "$1" = --pattern ]; then
    pattern "$(chunk "$2")" "$3" "$4"
    exit
fi

PATH=/bin
export PATH

say() {
    echo "TEST $*"
}

stop() {
    cd /
    umount /mnt 2>/dev/null
    sync
    case $1 in
    reboot) say reboot && reboot -f ;;
    *) poweroff -f ;;
    esac
    sleep 30
    say fail "still running after $1"
    while :; do sleep 1000; done
}

fail() {
    say fail "$*"
    stop poweroff
}

option() {
    sed -n "s/.*test\\.$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline
}

set_up() {
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t devtmpfs devtmpfs /dev 2>/dev/null
    echo
    while read -r module; do
        insmod "$module" || say fail "cannot insert $module"
    done </lib/minivmm/modules
    seed=$(option seed)
    seed=${seed:-1}
    mib=$(option mib)
    mib=${mib:-4}
}

describe() {
    say kernel "$(uname -r)"
    say cpus "$(grep -c '^processor' /proc/cpuinfo)"
    say memory-kib "$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
    dmesg | grep -E 'ACPI (BIOS )?(Error|Warning|Exception)|Firmware (Bug|Warn)|BIOS bug' |
        while read -r line; do
            say complaint "$line"
        done
    for disk in vda vdb; do
        if [ -b /dev/$disk ]; then
            say disk $disk "$(cat /sys/block/$disk/size)"
        fi
    done
}

drop_caches() {
    sync
    echo 3 >/proc/sys/vm/drop_caches
}

# NAME BYTES: fills a file. The expected checksum comes from the pattern, not from what was written.
write_file() {
    sum=$(pattern "$chunk" "$1" "$2" | tee "$1" | sha256sum | cut -d ' ' -f 1)
    echo "$sum  $1" >>/tmp/expected
    [ -b "$1" ] || [ "$(wc -c <"$1")" -ge "$2" ] || fail "cannot write $1"
}

# What of the raw disk is used: as much as the big file, if there is room.
raw_bytes() {
    size=$(($(cat /sys/block/vdb/size) * 512))
    [ "$size" -lt $((mib << 20)) ] || size=$((mib << 20))
    echo "$size"
}

phase_1() {
    chunk=$(chunk "$seed")
    mkdir -p /mnt/small || fail "cannot write to /dev/vda"
    write_file /mnt/big $((mib << 20))
    for size in 1 511 512 4095 4097 65537 100000; do
        write_file /mnt/small/$size $size
    done
    if [ -b /dev/vdb ]; then
        write_file /dev/vdb "$(raw_bytes)"
    fi
    cp /tmp/expected /mnt/checksums
    echo "$seed $mib" >/mnt/seed
    drop_caches
    check 1 || stop poweroff
    echo 2 >/mnt/phase
}

# Reads everything listed again and compares; the raw disk may be longer than what was written.
check() {
    bad=0
    while read -r expected name; do
        if [ "$name" = /dev/vdb ]; then
            actual=$(head -c "$(raw_bytes)" /dev/vdb | sha256sum | cut -d ' ' -f 1)
        else
            actual=$(sha256sum <"$name" | cut -d ' ' -f 1)
        fi
        [ "$1" = 2 ] || say checksum-1 "$name" "$actual"
        if [ "$actual" != "$expected" ]; then
            say fail "phase $1: $name has checksum $actual, not $expected"
            bad=1
        fi
    done </mnt/checksums
    [ "$bad" = 0 ] && [ -s /mnt/checksums ]
}

set_up
describe
if [ ! -b /dev/vda ]; then
    say disk none
    say "done"
    stop poweroff
fi
mount -t ext4 /dev/vda /mnt || fail "cannot mount /dev/vda"
if [ ! -e /mnt/phase ]; then
    say phase 1
    phase_1
    if [ "$(option stop)" = 1 ]; then
        stop poweroff
    fi
    stop reboot
fi
say phase 2
if check 2; then
    say checksum-2 ok
    cp /mnt/checksums /mnt/done
else
    say checksum-2 bad
fi
sync
say "done"
stop poweroff
