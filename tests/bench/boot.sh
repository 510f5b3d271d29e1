#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/boot.sh [minivmm|minivmm-nic|minivmm-host|minivmm-elf|pc|microvm]...
#
# Boots the stock cloud kernel to the first instruction of a guest's init under minivmm and QEMU, one after the other in the testbed
# with instruction counting, and prints for each: instructions from exec of the VMM to its end (guest included), and exits to user
# space. Same kernel, same initrd, same command line, one vCPU, 512 MiB, no disk. Counts, not times: repeatable to about 1 %.
# None has a network interface but minivmm-nic, which has the one that is there by default; its driver is a module, not loaded.
# minivmm-host unpacks the kernel on the host; minivmm-elf gets the uncompressed vmlinux of the same kernel.
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
vmlinux=$top/build/linux/vmlinux
initrd=$out/initrd.cpio
counter=$out/count-exits.so

(($#)) || set -- minivmm minivmm-nic minivmm-host minivmm-elf pc microvm

tests/testbed/testbed --prepare
gcc -O2 -nostdlib -static -fno-stack-protector -o "$out/guest-init" tests/bench/guest-init.c
gcc -O2 -shared -fPIC -o "$counter" tests/bench/count-exits.c
guest-images/linux/mkinitramfs "$initrd" --modules none --init "$out/guest-init"

common=(-m 512 -kernel "$kernel" -initrd "$initrd" -append "console=ttyS0 quiet reboot=t"
    -device isa-debug-exit,iobase=0xf4,iosize=4 -no-reboot)
qemu=(qemu-system-x86_64 -accel kvm -cpu host -nodefaults -display none -serial stdio)

vmm_command() {
    case $1 in
    minivmm) command=("$vmm" -accel kvm "${common[@]}" -nic none) ;;
    minivmm-nic) command=("$vmm" -accel kvm "${common[@]}") ;;
    minivmm-host) command=("$vmm" -accel kvm "${common[@]}" -nic none -kernel-unpack host) ;;
    minivmm-elf) command=("$vmm" -accel kvm "${common[@]}" -nic none -kernel "$vmlinux") ;;
    pc) command=("${qemu[@]}" -M pc "${common[@]}") ;;
    microvm) command=("${qemu[@]}" -M microvm,x-option-roms=off "${common[@]}") ;;
    *) die "unknown VMM '$1'" ;;
    esac
}

printf '%-14s %12s %10s\n' vmm instructions exits
for name in "$@"; do
    vmm_command "$name"
    files=(--file "$kernel" --file "$vmlinux" --file "$initrd" --file "$counter")
    if [[ ${command[0]} == qemu* ]]; then
        files+=(--file /usr/share/seabios --file /usr/share/qemu)
    fi
    status=0
    tests/testbed/testbed "${files[@]}" --icount-report "$out/$name.icount" --timeout 300 -- \
        "${command[@]}" >"$out/$name.out" 2>&1 </dev/null || status=$?
    # minivmm counts itself; into QEMU a library is loaded that counts the returns of KVM_RUN.
    if [[ ${command[0]} == "$vmm" ]]; then command+=(-exits); fi
    tests/testbed/testbed "${files[@]}" --env "LD_PRELOAD=$counter" --timeout 120 -- \
        "${command[@]}" >"$out/$name.exits" 2>&1 </dev/null || true
    ((status <= 1)) || echo "boot.sh: $name ended with status $status, see $out/$name.out" >&2
    printf '%-14s %12s %10s\n' "$name" "$(grep -o 'instructions[^0-9]*[0-9]*' "$out/$name.icount" | grep -o '[0-9]*$' | head -n 1)" \
        "$(sed -n 's/^exits to user space: \([0-9]*\).*/\1/p; s/^engine .*: \([0-9]*\) exits in.*/\1/p' "$out/$name.exits")"
done
