#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the boot test (mkinitramfs --init): does what would show any difference between two runs in what it prints (time of day, random
# numbers, interrupts, scheduling, a disk), and powers off.
PATH=/bin
export PATH
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
while read -r module; do
    insmod "$module"
done </lib/minivmm/modules
echo "TEST cpus $(grep -c '^processor' /proc/cpuinfo)"
echo "TEST date $(date -u '+%Y-%m-%d %H:%M') uptime $(cat /proc/uptime)"
echo "TEST random $(head -c 16 /dev/urandom | od -An -tx1)"
mount -t ext4 /dev/vda /mnt || echo "TEST fail mount"
sha256sum /mnt/README
(while :; do :; done) & # another process to share the CPUs with
for n in 1 2 3 4; do
    cat /proc/uptime /proc/interrupts /proc/self/stat >/mnt/notes$n
    sync
done
sleep 1
kill $!
sha256sum /mnt/notes*
cat /proc/uptime /proc/interrupts
umount /mnt
echo "TEST done"
poweroff -f
sleep 30
