#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/fs.sh [ROUNDS]
#
# Shared directories beside QEMU's: the stock kernel and one guest program (tests/bench/fs-guest.c) on minivmm -accel interp -share, and on
# QEMU -accel tcg with its virtiofsd (a daemon; guest RAM in shared memory), in turns, each cache=auto, one vCPU, 512 MiB. Host CPU time a
# unit (a file; a MiB), medians of ROUNDS (default 3): of everything, and of everything but the thread that runs the guest, which is what
# device and server cost whatever the engine. The row `cpu` does no file work: it says how fast each engine runs the guest itself.
# Files lie in memory (/dev/shm), so no disk is measured.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
rounds=${1:-3}
vmm=${VMM:-$top/minivmm}
kernel=${KERNEL:-$top/build/linux/vmlinuz}
virtiofsd=${VIRTIOFSD:-/usr/lib/qemu/virtiofsd}
out=$top/build/bench
mkdir -p "$out"
work=$(mktemp -d -p /dev/shm)
trap 'rm -rf "$work"' EXIT

gcc -O2 -static -o "$work/init" tests/bench/fs-guest.c
guest-images/linux/mkinitramfs "$out/fs.cpio" --modules virtio_pci,virtiofs --init "$work/init"
[[ -x $virtiofsd ]] || { echo "fs.sh: no $virtiofsd (qemu-system-common): minivmm alone"; virtiofsd=; }

# FILE COLUMN: the rows of all runs in it become "name units median".
medians() {
    awk -v column="$2" '{print $1, $2, $column}' "$1" | sort -k1,1 -k3,3n |
        awk '{v[$1] = v[$1] " " $3; u[$1] = $2; n[$1]++}
             END {for (k in v) {split(v[k], a, " "); print k, u[k], a[int((n[k] + 1) / 2)]}}'
}

# Two files of rows side by side, COLUMN divided by units.
table() {
    printf '%-12s %12s %12s %8s\n' row minivmm qemu ratio
    for name in cpu unpack look list look-again read-small remove write-MiB read-MiB; do
        { medians "$1" "$3"; echo "--"; medians "$2" "$3"; } | awk -v name="$name" '
            $1 == "--" {second = 1} $1 == name {v[second + 0] = $3 / $2}
            END {printf "%-12s %12.1f %12s %8s\n", name, v[0], v[1] ? sprintf("%.1f", v[1]) : "-", v[1] ? sprintf("%.2f", v[0] / v[1]) : "-"}'
    done
}

# Of all threads of the processes in $pids, into $all; without those that run guest code, into $host. Microseconds.
cpu_us() {
    local thread ns pid name
    all=0 host=0
    for pid in "${pids[@]}"; do
        for thread in /proc/"$pid"/task/*; do
            { read -r ns _ <"$thread/schedstat" && read -r name <"$thread/comm"; } 2>/dev/null || continue
            all=$((all + ns / 1000))
            [[ $name == vcpu* || $name == CPU* ]] || host=$((host + ns / 1000))
        done
    done
}

start_minivmm() {
    "$vmm" -accel interp -m 512 -kernel "$kernel" -initrd "$out/fs.cpio" -append 'console=ttyS0 quiet' -share "$work/run/share" \
        -timeout 600 >"$work/pipe" 2>"$work/err" </dev/null &
    pids=($!)
}

start_qemu() {
    "$virtiofsd" --socket-path="$work/run/socket" -o source="$work/run/share" -o cache=auto -o sandbox=chroot >"$work/daemon" 2>&1 &
    local daemon=$!
    until [[ -S $work/run/socket ]]; do sleep 0.1; done
    qemu-system-x86_64 -name bench,debug-threads=on -accel tcg -M pc -nodefaults -display none -serial stdio -no-reboot -m 512 -kernel "$kernel" \
        -initrd "$out/fs.cpio" -append 'console=ttyS0 quiet' -object memory-backend-memfd,id=m,size=512M,share=on -numa node,memdev=m \
        -chardev socket,id=c,path="$work/run/socket" -device vhost-user-fs-pci,chardev=c,tag=share >"$work/pipe" 2>"$work/err" </dev/null &
    pids=($! "$daemon")
}

run() { # NAME FILE-FOR-ROWS
    local word name units all0=0 host0=0
    rm -rf "$work/run"
    mkdir -p "$work/run/share"
    "start_$1"
    while read -r -t 600 word name units _; do
        cpu_us
        case $word in
        BEGIN) all0=$all host0=$host ;;
        ROW) echo "$name $units $((all - all0)) $((host - host0))" >>"$2" ;;
        fail:) echo "$1: $word $name $units" >&2 ;;
        esac
    done <"$work/pipe"
    kill "${pids[@]}" 2>/dev/null || true
    wait || true
}

: >"$work/ours"
: >"$work/theirs"
mkfifo "$work/pipe"
for ((i = 0; i < rounds; i++)); do
    run minivmm "$work/ours"
    [[ -z $virtiofsd ]] || run qemu "$work/theirs"
done
echo "microseconds of host CPU time a unit, medians of $rounds: all"
table "$work/ours" "$work/theirs" 3
echo "... without the thread that runs the guest"
table "$work/ours" "$work/theirs" 4
