#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the guest: streams with the host over virtio sockets, then memory that is used, freed and given back.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module" || echo "TEST fail insmod $module"
done </lib/minivmm/modules

stream vsock-listen 1234 1 1048576 >/tmp/listen 2>&1 &
until grep -q listening /tmp/listen; do sleep 0.1; done
echo "TEST listening"
wait
echo "TEST accepted $(grep got /tmp/listen)"
echo "TEST connected $(stream vsock-connect 2 77 3 1048576)"
echo "TEST nobody $(stream vsock-connect 2 78)"
echo "TEST elsewhere $(stream vsock-connect 9 77)"

mount -t tmpfs tmpfs /mnt
dd if=/dev/zero of=/mnt/file bs=1M count=96 2>/dev/null
echo "TEST full"
sleep 2
rm /mnt/file
sleep 5
echo "TEST freed"
sleep 2
echo "TEST done"
poweroff -f
