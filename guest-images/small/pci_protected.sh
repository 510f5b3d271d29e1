# SPDX-License-Identifier: MIT
# Two disks, so that there is something on the bus.
[ "$1" = setup ] || exit 0
head -c 65536 /dev/zero >a
head -c 65536 /dev/zero >b
