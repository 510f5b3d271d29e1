#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the guest. Part vsock: streams with the host over virtio sockets, memory that is used, freed and given back, then a reboot with open
# connections, and streams again. Part balloon: memory that is used and freed; the rest is the host's.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /mnt
while read -r module; do
    insmod "$module" || echo "TEST fail insmod $module"
done </lib/minivmm/modules

# NAME PORT WHAT...: one connection is listened for, its words go to /tmp/NAME.
listen() {
    name=$1
    shift
    stream vsock-listen "$@" >"/tmp/$name" 2>&1 &
    until grep -q listening "/tmp/$name"; do sleep 0.1; done
}

use_memory() {
    dd if=/dev/zero of=/mnt/file bs=1M count=96 2>/dev/null
    echo "TEST full"
    sleep "$1"
    rm /mnt/file
}

if [ "$part" = balloon ]; then
    use_memory 0
    echo "TEST freed"
    sleep 1000
fi

# Nobody listens there in the first life.
if stream vsock-connect 2 79 5 1024 >/tmp/again; then
    listen second 1234 1 65536
    echo "TEST second life"
    wait
    echo "TEST accepted-again $(grep got /tmp/second)"
    echo "TEST done"
    poweroff -f
fi

listen first 1234 1 1048576
echo "TEST listening"
wait
echo "TEST accepted $(grep got /tmp/first)"
echo "TEST connected $(stream vsock-connect 2 77 3 1048576)"
echo "TEST nobody $(stream vsock-connect 2 78)"
echo "TEST elsewhere $(stream vsock-connect 9 77)"

use_memory 2

listen held 1235 0 hold
stream vsock-connect 2 80 0 hold >/tmp/holds &
echo "TEST holding"
until grep -q holding /tmp/held && grep -q holding /tmp/holds; do sleep 0.1; done
echo "TEST reboots"
reboot -f
