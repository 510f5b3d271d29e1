#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/net.sh [MIB [ENGINE]]
#
# TCP between a guest and the host's loopback through user networking, one connection each way: minivmm and QEMU, one after the other, the
# same stock kernel and initrd, one vCPU, 256 MiB. MIB (default 256) are sent each way. ENGINE is interp (the default; QEMU has
# tcg) or kvm (for both). Prints MB/s by the host's clock and the CPU time that the VMM's processes, the guest's included, took
# for a GiB; the second holds on a busy machine too.
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
mib=${1:-256} engine=${2:-interp}
gcc -O2 -Wall -static -o "$work/net-load" tests/bench/net-load.c
port=$((20000 + RANDOM % 20000))
cat >"$work/init" <<END
#!/bin/sh
PATH=/bin
mount -t devtmpfs devtmpfs /dev 2>/dev/null
while read -r module; do insmod "\$module"; done </lib/minivmm/modules
ifconfig eth0 10.0.2.15 netmask 255.255.255.0
route add default gw 10.0.2.2
net-load run 10.0.2.2 $port $((mib << 20)) || echo FAILED
poweroff -f
END
guest-images/linux/mkinitramfs "$work/initrd" --modules virtio_pci,virtio_net --file "$work/net-load:/bin/net-load" --init "$work/init"
chmod 755 "$work/net-load"
common=(-m 256 -kernel "$kernel" -initrd "$work/initrd" -append "console=ttyS0 quiet" -pidfile "$work/pid")

measure() {
    local name=$1
    shift
    "$work/net-load" serve "$port" $((mib << 20)) "$work/pid" >"$work/$name" &
    local server=$!
    sleep 0.3
    timeout 300 "$@" >"$work/$name.out" 2>&1 </dev/null || true
    wait "$server" || die "$name failed: $(tail -n 3 "$work/$name.out")"
}

measure minivmm "$vmm" -accel "$engine" "${common[@]}" -nic user
names=(minivmm)
if command -v qemu-system-x86_64 >/dev/null; then
    accel=$engine
    [[ $engine != interp ]] || accel=tcg
    measure qemu qemu-system-x86_64 -accel "$accel" -M pc -nodefaults -display none -serial stdio "${common[@]}" -nic user,model=virtio-net-pci
    names+=(qemu)
fi
printf '%-16s' direction
for name in "${names[@]}"; do printf ' %12s %12s' "$name MB/s" 'CPU s/GiB'; done
echo
for direction in host-to-guest guest-to-host; do
    printf '%-16s' "$direction"
    for name in "${names[@]}"; do printf ' %12s %12s' $(sed -n "s/^$direction //p" "$work/$name"); done
    echo
done
