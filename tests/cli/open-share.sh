# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Directories that cannot be shared. The kernel is an empty boot sector, and the engine the one without a CPU.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
boot=(-accel none -serial null -kernel kernel)
t "${boot[@]}" -share missing
: >file
t "${boot[@]}" -share file
mkfifo fifo
t "${boot[@]}" -share fifo
ln -s nowhere dangling
t "${boot[@]}" -share dangling
t "${boot[@]}" -share /proc
t "${boot[@]}" -share /sys,ro
