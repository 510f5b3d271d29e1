#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/start.sh
#
# What minivmm does before the first guest instruction, for the stock kernel with an initrd and one disk: instructions of the process (callgrind,
# with the engine that has no CPU, so that only the VMM is counted; its end is counted too) and system calls up to the first KVM_RUN
# (strace). The second also for QEMU. Needs valgrind and strace.
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
truncate -s 64M "$work/disk.img"
guest-images/linux/mkinitramfs "$work/initrd.cpio" --modules none
boot=(-kernel "$kernel" -initrd "$work/initrd.cpio")
options=("${boot[@]}" -disk "$work/disk.img" -serial none)

valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" "$vmm" -accel none "${options[@]}" -kernel-unpack guest -timeout 1 \
    >/dev/null 2>"$work/log" || true
printf 'minivmm: instructions of its own %s\n' "$(sed -n 's/.*I *refs: *//p' "$work/log")"

# System calls until the guest first runs.
syscalls() {
    strace -f -o "$work/trace" -e trace=all "$@" >/dev/null 2>&1 </dev/null || true
    awk '/KVM_RUN/ { exit } !/resumed/ { n++ } END { print n + 0 }' "$work/trace"
}

printf 'minivmm: system calls before KVM_RUN %s\n' "$(syscalls "$vmm" -accel kvm,probe=off "${options[@]}" -timeout 1)"
if command -v qemu-system-x86_64 >/dev/null; then
    for machine in microvm pc; do
        printf 'qemu -M %s: system calls before KVM_RUN %s\n' "$machine" "$(syscalls timeout 5 qemu-system-x86_64 -accel kvm -M "$machine" -nodefaults \
            -display none "${boot[@]}" -drive "file=$work/disk.img,format=raw,if=none,id=d" -device "$([[ $machine == pc ]] && echo virtio-blk-pci || echo virtio-blk-device),drive=d")"
    done
fi
