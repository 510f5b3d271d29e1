#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the guest that looks at small devices: the entropy device's driver gives bytes, the second
# serial port is there, and at the end the kernel panics.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "$module" || echo "TEST fail insmod $module"
done </lib/minivmm/modules
echo "TEST rng $(cat /sys/class/misc/hw_random/rng_current) $(head -c 100000 /dev/hwrng | wc -c)"
echo "TEST com2" >/dev/ttyS1
grep -H . /sys/bus/acpi/devices/QEMU0001:00/status 2>/dev/null
echo "TEST panic"
echo c >/proc/sysrq-trigger
