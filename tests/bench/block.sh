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
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
rounds=3 modes=()
while (($#)); do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    software | kvm) modes+=("$1") ;;
    *) echo "block.sh: unknown word '$1'" >&2 && exit 2 ;;
    esac
    shift
done
((${#modes[@]})) || modes=(software kvm)
vmm=${VMM:-$top/minivmm}
kernel=${KERNEL:-$top/build/linux/vmlinuz}
out=$top/build/bench
mkdir -p "$out"
work=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$work"' EXIT

gcc -O2 -Wall -static -pthread -o "$work/init" tests/bench/block-guest.c
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

# FILE UNIT-COLUMN: rows of all runs in it become "name units median".
medians() {
    tr -d '\r' <"$1" | awk -v column="$2" '$1 == "ROW" {print $2, $3, $column}' | sort -k1,1 -k3,3n |
        awk '{v[$1] = v[$1] " " $3; u[$1] = $2; n[$1]++}
             END {for (k in v) {split(v[k], a, " "); print k, u[k], a[int((n[k] + 1) / 2)]}}'
}

# Two files of rows side by side, divided by units and by SCALE.
table() {
    local ours=$1 theirs=$2 column=$3 scale=$4
    printf '%-14s %12s %12s %8s\n' row minivmm qemu ratio
    for name in cpu write-1MiB read-1MiB write-4KiB read-4KiB write-4KiB-x4 read-4KiB-x4 write-sync; do
        { medians "$ours" "$column"; echo "--"; medians "$theirs" "$column"; } |
            awk -v name="$name" -v scale="$scale" '
                $1 == "--" {second = 1} $1 == name {v[second + 0] = $3 / $2 / scale}
                END {printf "%-14s %12s %12s %8s\n", name, v[0] ? sprintf("%.1f", v[0]) : "-", v[1] ? sprintf("%.1f", v[1]) : "-",
                     v[0] && v[1] ? sprintf("%.2f", v[0] / v[1]) : "-"}'
    done
}

declare -A seen
cpu_us() { # of all threads of process $pid, into $now; one that ended in between keeps what it had
    local file ns
    for file in /proc/"$pid"/task/*/schedstat; do
        { read -r ns _ <"$file"; } 2>/dev/null || continue
        seen[$file]=$((ns / 1000))
    done
    now=0
    for ns in "${seen[@]}"; do now=$((now + ns)); done
}

run_software() { # NAME ENGINE FILE-FOR-ROWS
    local word name units ns began=0
    seen=()
    "$out/block-one.sh" "$1" "$2" "$work/disk" >"$work/pipe" 2>"$work/err" </dev/null &
    pid=$!
    while read -r -t 600 word name units ns _; do
        cpu_us
        case $word in
        BEGIN) began=$now ;;
        ROW) echo "ROW $name $units $((now - began)) $ns" >>"$3" ;;
        fail:) echo "$1: $word $name $units" >&2 ;;
        esac
    done <"$work/pipe"
    wait "$pid" || true
}

software() {
    : >"$work/ours"
    : >"$work/theirs"
    mkfifo "$work/pipe"
    for ((i = 0; i < rounds; i++)); do
        run_software minivmm interp "$work/ours"
        [[ -z $qemu ]] || run_software qemu tcg "$work/theirs"
    done
    echo "interp beside tcg: microseconds of host CPU time a unit (a request), medians of $rounds"
    table "$work/ours" "$work/theirs" 4 1
    echo "interp beside tcg: microseconds of wall time a unit by the guest's clock, medians of $rounds"
    table "$work/ours" "$work/theirs" 5 1000
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
