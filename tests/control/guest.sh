#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the guest that is steered from outside: it uses memory and frees it, tells of life, and turns itself off when the power button's event comes.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module" || echo "TEST fail insmod $module"
done </lib/minivmm/modules
for dir in /sys/class/input/event*; do
    grep -q 'Power Button' "$dir/device/name" && button=/dev/input/${dir##*/}
done
mount -t tmpfs tmpfs /mnt
dd if=/dev/zero of=/mnt/file bs=1M count=96 2>/dev/null
rm /mnt/file
echo "TEST ready $button"
head -c 24 "$button" >/dev/null
echo "TEST button"
poweroff -f
