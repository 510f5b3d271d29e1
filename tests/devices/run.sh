#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/devices/run.sh MINIVMM
#
# Small devices under a stock kernel and the interpreter, in one boot: virtio-rng through hwrng, the second serial port, and a panic
# that pvpanic tells of, for which the exit status, the closing line and the result must be right.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "$1")

find_kernel || skip_all "$no_kernel" all
"$top/guest-images/linux/mkinitramfs" "$work/initrd.cpio" --modules virtio_pci,virtio_rng,pvpanic-mmio --init "$here/guest.sh" || exit 1
"$minivmm" -accel interp -kernel "$kernel_dir/vmlinuz" -initrd "$work/initrd.cpio" -append 'console=ttyS0' -m 256 -timeout $((120 * SLOW)) \
    -serial "file:$work/com1" -serial "file:$work/com2" -device virtio-rng -result "$work/result" >"$work/err" 2>&1 </dev/null
status=$?
tr -d '\r' <"$work/com1" >"$work/said"

check rng grep -q '^TEST rng virtio_rng.0 100000$' "$work/said"
check com2 grep -q '^TEST com2' "$work/com2"
check panic-status [ $status = 240 ]
check panic-line grep -qx 'minivmm: guest panic' "$work/err"
check panic-cause grep -q '"cause": "panic"' "$work/result"
check panic-console grep -q 'Kernel panic - not syncing: sysrq triggered crash' "$work/result"
((!failed)) || show "$work/said" "$work/err"
finish
