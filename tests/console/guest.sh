#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the console test's guest: reads its input port to the end, sends the bytes back through
# the output port, does the same over the terminal hvc0, and says on ttyS0 how it went.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module" || echo "TEST fail insmod $module"
done </lib/minivmm/modules

port() { # NAME: its device, once it is there
    for try in $(seq 100); do
        for name in /sys/class/virtio-ports/*/name; do
            [ "$(cat "$name" 2>/dev/null)" = "$1" ] && basename "$(dirname "$name")" && return
        done
        sleep 0.1
    done
    echo "TEST fail no port $1"
}

in=/dev/$(port org.test.in) out=/dev/$(port org.test.out)
echo "TEST ports $in $out"
cat "$in" >/tmp/bytes
echo "TEST in $(wc -c </tmp/bytes) $(md5sum </tmp/bytes | cut -d' ' -f1)"
cat /tmp/bytes >"$out"

exec 3<>/dev/hvc0
stty raw -echo <&3
echo "TEST hvc0 ready"
head -c 1048576 <&3 >/tmp/hvc
echo "TEST hvc0 $(wc -c </tmp/hvc) $(md5sum </tmp/hvc | cut -d' ' -f1)"
cat /tmp/hvc >&3
exec 3>&-
echo "TEST done"
poweroff -f
