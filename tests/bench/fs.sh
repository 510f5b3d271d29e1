#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/fs.sh [software|kvm]... [--rounds N]
#
# Shared directories beside QEMU's: the stock kernel and one guest program (tests/bench/fs-guest.c) on minivmm -share, and on QEMU with its
# virtiofsd (a daemon; guest RAM in shared memory), each with the other's nearest settings: cache=auto, one vCPU, 512 MiB.
#   software   -accel interp beside -accel tcg, in turns; CPU time of the VMM, and of the daemon, on this machine, medians of N rounds
#              (default 3). The row `cpu` does no file work: it says how fast each engine runs the guest itself.
#   kvm        both on the same real KVM in the testbed; instructions of the whole machine (guest, VMM, daemon, host kernel, and idling
#              while one waits for another) by the time-stamp counter, on the testbed's one CPU
# Files lie in memory (/dev/shm; the testbed's root), so no disk is measured.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
rounds=3 modes=()
while (($#)); do
    case $1 in
    --rounds) rounds=$2 && shift ;;
    software | kvm) modes+=("$1") ;;
    *) echo "fs.sh: unknown word '$1'" >&2 && exit 2 ;;
    esac
    shift
done
((${#modes[@]})) || modes=(software kvm)
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

# One run in the testbed: minivmm|qemu DIRECTORY.
cat >"$out/fs-one.sh" <<ONE
#!/bin/sh
mkdir -p "\$2/share"
machine="-m 512 -kernel $kernel -initrd $out/fs.cpio"
if [ "\$1" = minivmm ]; then
    exec "$vmm" -accel kvm \$machine -append 'console=ttyS0 quiet' -share "\$2/share" -timeout 600
fi
"$virtiofsd" --socket-path="\$2/socket" -o source="\$2/share" -o cache=auto -o sandbox=chroot >"\$2/daemon" 2>&1 &
while ! [ -S "\$2/socket" ]; do sleep 0.1; done
qemu-system-x86_64 -accel kvm -M pc -nodefaults -display none -serial stdio -no-reboot \$machine -append 'console=ttyS0 quiet' \
    -object memory-backend-memfd,id=m,size=512M,share=on -numa node,memdev=m \
    -chardev socket,id=c,path="\$2/socket" -device vhost-user-fs-pci,chardev=c,tag=share
kill \$! 2>/dev/null
exit 0
ONE
chmod +x "$out/fs-one.sh"

# FILE UNIT-COLUMN: rows of all runs in it become "name units median".
medians() {
    tr -d '\r' <"$1" | awk -v column="$2" '$1 == "ROW" {print $2, $3, $column}' | sort -k1,1 -k3,3n |
        awk '{v[$1] = v[$1] " " $3; u[$1] = $2; n[$1]++}
             END {for (k in v) {split(v[k], a, " "); print k, u[k], a[int((n[k] + 1) / 2)]}}'
}

# Two files of rows side by side, divided by units and by SCALE.
table() {
    local ours=$1 theirs=$2 column=$3 scale=$4
    printf '%-12s %12s %12s %8s\n' row minivmm qemu ratio
    for name in cpu unpack look list look-again read-small remove write-MiB read-MiB; do
        { medians "$ours" "$column"; echo "--"; medians "$theirs" "$column"; } |
            awk -v name="$name" -v scale="$scale" '
                $1 == "--" {second = 1} $1 == name {v[second + 0] = $3 / $2 / scale}
                END {printf "%-12s %12.1f %12s %8s\n", name, v[0], v[1] ? sprintf("%.1f", v[1]) : "-",
                     v[1] ? sprintf("%.2f", v[0] / v[1]) : "-"}'
    done
}

cpu_us() { # of all threads of the processes in $pids, into $now
    local file ns pid
    now=0
    for pid in "${pids[@]}"; do
        for file in /proc/"$pid"/task/*/schedstat; do
            { read -r ns _ <"$file"; } 2>/dev/null || continue
            now=$((now + ns / 1000))
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
    while ! [[ -S $work/run/socket ]]; do sleep 0.1; done
    qemu-system-x86_64 -accel tcg -M pc -nodefaults -display none -serial stdio -no-reboot -m 512 -kernel "$kernel" \
        -initrd "$out/fs.cpio" -append 'console=ttyS0 quiet' -object memory-backend-memfd,id=m,size=512M,share=on -numa node,memdev=m \
        -chardev socket,id=c,path="$work/run/socket" -device vhost-user-fs-pci,chardev=c,tag=share >"$work/pipe" 2>"$work/err" </dev/null &
    pids=($! "$daemon")
}

run_software() { # NAME FILE-FOR-ROWS
    local word name units began=0
    rm -rf "$work/run"
    mkdir -p "$work/run/share"
    "start_$1"
    while read -r -t 600 word name units _; do
        cpu_us
        case $word in
        BEGIN) began=$now ;;
        ROW) echo "ROW $name $units $((now - began))" >>"$2" ;;
        fail:) echo "$1: $word $name $units" >&2 ;;
        esac
    done <"$work/pipe"
    kill "${pids[@]}" 2>/dev/null || true
    wait || true
}

software() {
    : >"$work/ours"
    : >"$work/theirs"
    mkfifo "$work/pipe"
    for ((i = 0; i < rounds; i++)); do
        run_software minivmm "$work/ours"
        [[ -z $virtiofsd ]] || run_software qemu "$work/theirs"
    done
    echo "interp beside tcg: microseconds of host CPU time a unit (a file; a MiB), medians of $rounds"
    table "$work/ours" "$work/theirs" 4 1
}

in_testbed() { # NAME FILE...
    local name=$1
    shift
    local files=()
    for file in "$kernel" "$out/fs.cpio" "$out/fs-one.sh" "$@"; do files+=(--file "$file"); done
    tests/testbed/testbed "${files[@]}" --icount --timeout 900 -- "$out/fs-one.sh" "$name" /tmp/run 2>"$work/err" </dev/null ||
        tail -n 3 "$work/err" >&2
}

kvm() {
    tests/testbed/testbed --prepare
    in_testbed minivmm "$vmm" >"$work/ours"
    : >"$work/theirs"
    [[ -z $virtiofsd ]] || in_testbed qemu "$(command -v qemu-system-x86_64)" "$virtiofsd" /usr/share/seabios /usr/share/qemu >"$work/theirs"
    grep -h '^fail' "$work/ours" "$work/theirs" >&2 || true
    echo "both on KVM in the testbed: thousands of instructions of the whole machine a unit"
    table "$work/ours" "$work/theirs" 5 1000
}

for mode in "${modes[@]}"; do
    "$mode"
done
