#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/block.sh [software|kvm]... [--rounds N]
#
# A virtio disk beside QEMU's: the stock kernel and one guest program (tests/bench/block-guest.c), one vCPU, 512 MiB, a raw image of 64 MiB,
# cache=writeback on both, everything else as each VMM has it by default.
#   software   -accel interp beside -accel tcg, in turns: CPU time of the VMM on this machine (all threads, the host kernel's work for them
#              included), and wall time as the guest sees it, medians of N rounds (default 3)
#   kvm        both on the same real KVM in the testbed; instructions of the whole machine (guest, VMM, host kernel, and idling while one
#              waits for another) by the time-stamp counter, on the testbed's one CPU
# The image lies in memory (/dev/shm; the testbed's root), so no disk is measured. The row `cpu` does no I/O.
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read_words 3 "$@"

gcc -O2 -Wall -static -pthread -o "$work/init" tests/bench/block-guest.c tests/bench/rows.c
guest-images/linux/mkinitramfs "$out/block.cpio" --modules virtio_pci,virtio_blk --init "$work/init"
qemu=$(command -v qemu-system-x86_64) || { echo "block.sh: no qemu-system-x86_64: minivmm alone"; qemu=; }

# One run: minivmm|qemu ENGINE IMAGE. The image is written whole beforehand, so that no row pays for its pages.
cat >"$out/block-one.sh" <<ONE
#!/bin/sh
dd if=/dev/zero of="\$3" bs=1048576 count=64 2>/dev/null
if [ "\$1" = minivmm ]; then
    exec "$vmm" -accel "\$2" -m 512 -kernel $kernel -initrd $out/block.cpio -append 'console=ttyS0 quiet' \
        -disk "\$3,cache=writeback" -nic none -timeout 600
fi
cpu=max
[ "\$2" != kvm ] || cpu=host
exec $qemu -accel "\$2" -cpu "\$cpu" -M pc -nodefaults -display none -serial stdio -no-reboot -m 512 -kernel $kernel \
    -initrd $out/block.cpio -append 'console=ttyS0 quiet' \
    -drive "file=\$3,format=raw,if=none,id=d,cache=writeback" -device virtio-blk-pci,drive=d
ONE
chmod +x "$out/block-one.sh"

run_software() { # NAME ENGINE FILE-FOR-ROWS
    "$out/block-one.sh" "$1" "$2" "$work/disk" >"$work/pipe" 2>"$work/err" </dev/null &
    watch_cpu $!
    read_rows "$1" "$3"
    wait $! || true
}

software() {
    : >"$work/ours"
    : >"$work/theirs"
    for ((i = 0; i < rounds; i++)); do
        run_software minivmm interp "$work/ours"
        [[ -z $qemu ]] || run_software qemu tcg "$work/theirs"
    done
    echo "interp beside tcg: microseconds of host CPU time a unit (a request), medians of $rounds"
    table "$work/ours" "$work/theirs" 4 1
    echo "interp beside tcg: microseconds of wall time a unit by the guest's clock, medians of $rounds"
    table "$work/ours" "$work/theirs" 6 1000
}

in_testbed() { # NAME FILE...
    local name=$1 files=() file
    shift
    for file in "$kernel" "$out/block.cpio" "$out/block-one.sh" "$@"; do files+=(--file "$file"); done
    tests/testbed/testbed "${files[@]}" --icount --timeout 400 -- "$out/block-one.sh" "$name" kvm /tmp/disk 2>"$work/err" </dev/null ||
        tail -n 3 "$work/err" >&2
}

kvm() {
    tests/testbed/testbed --prepare
    in_testbed minivmm "$vmm" >"$work/ours"
    : >"$work/theirs"
    [[ -z $qemu ]] || in_testbed qemu "$qemu" /usr/share/seabios /usr/share/qemu >"$work/theirs"
    grep -h '^fail' "$work/ours" "$work/theirs" >&2 || true
    echo "both on KVM in the testbed: thousands of instructions of the whole machine a unit"
    table "$work/ours" "$work/theirs" 5 1000
}

for mode in "${modes[@]}"; do
    "$mode"
done
