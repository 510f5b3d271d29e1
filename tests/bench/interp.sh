#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/interp.sh [ROUNDS]
#
# The interpreter beside QEMU's translator (-accel tcg), in turns within one run: host CPU time of the whole VMM process, medians of ROUNDS
# (default 3). `boot`: the stock cloud kernel to the first instruction of a guest's init. The other rows are those of
# tests/bench/interp-guest.c, which says on the serial port when each begins and ends; the time is read then. At the end the table:
# microseconds a unit and interp / tcg; a row whose checksums differ says so, and then the status is 1.
#
# KERNEL=FILE and VMM=FILE replace build/linux/vmlinuz and ./minivmm.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
rounds=${1:-3}
out=build/bench
kernel=${KERNEL:-$top/build/linux/vmlinuz}
vmm=${VMM:-$top/minivmm}
pid=
mkdir -p "$out"
work=$(mktemp -d)
mkfifo "$work/pipe"
trap '[[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null; rm -rf "$work"' EXIT

[[ -e $kernel ]] || { echo "interp.sh: no kernel at $kernel: set KERNEL" >&2; exit 2; }
gcc -O2 -nostdlib -static -fno-stack-protector -o "$out/guest-init" tests/bench/guest-init.c
gcc -O2 -fno-tree-vectorize -static -Wall -Wextra -o "$out/interp-guest" tests/bench/interp-guest.c
guest-images/linux/mkinitramfs "$out/initrd.cpio" --modules none --init "$out/guest-init"
guest-images/linux/mkinitramfs "$out/interp.cpio" --modules none --init "$out/interp-guest"

engines=(interp)
if command -v qemu-system-x86_64 >/dev/null; then
    engines+=(tcg)
else
    echo "qemu-system-x86_64: not here, skipped"
fi
command -v bochs >/dev/null && echo "bochs: skipped, it boots no kernel without a disk" || echo "bochs: not here, skipped"

start_vmm() { # ENGINE INITRD: in the background, with its output in the pipe
    local machine=(-m 512 -kernel "$kernel" -initrd "$2" -append "console=ttyS0 quiet"
        -device isa-debug-exit,iobase=0xf4,iosize=4)
    if [[ $1 == interp ]]; then
        "$vmm" -accel interp "${machine[@]}" >"$work/pipe" 2>"$work/err" </dev/null &
    else
        qemu-system-x86_64 -accel tcg -M pc -nodefaults -display none -serial stdio -no-reboot \
            "${machine[@]}" >"$work/pipe" 2>"$work/err" </dev/null &
    fi
    pid=$!
}

cpu_ns() { # of all threads of $pid, into $now
    local file ns
    now=0
    for file in /proc/"$pid"/task/*/schedstat; do
        { read -r ns _ <"$file"; } 2>/dev/null || continue
        now=$((now + ns))
    done
}

run_boot() { # ENGINE
    local status=0 before after
    before=$(children_ms)
    start_vmm "$1" "$out/initrd.cpio"
    cat <"$work/pipe" >/dev/null
    wait "$pid" || status=$?
    pid=
    after=$(children_ms)
    ((status == 1)) || { echo "interp.sh: $1 ended with status $status:" >&2; cat "$work/err" >&2; exit 1; }
    echo "$(((after - before) * 1000000))" >>"$work/$1.boot"
}

# User and system time of the children that this shell has waited for (the small ones of the script are lost in it).
children_ms() {
    local stat
    read -r stat <"/proc/$$/stat"
    set -- ${stat##*) }
    echo "$(((${14} + ${15}) * 1000 / $(getconf CLK_TCK)))"
}

run_rows() { # ENGINE
    local word name units check unit began
    start_vmm "$1" "$out/interp.cpio"
    while read -t 300 -r word name units check unit; do
        case $word in
        begin) cpu_ns; began=$now ;;
        end)
            cpu_ns
            echo "$(((now - began) / units))" >>"$work/$1.$name"
            echo "$check" >>"$work/$name.check"
            echo "$unit" >"$work/$name.unit"
            [[ -e $work/$name.seen ]] || echo "$name" >>"$work/names"
            : >"$work/$name.seen"
            ;;
        esac
    done <"$work/pipe"
    wait "$pid" || true
    pid=
}

median() {
    sort -n "$1" | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}

for ((round = 1; round <= rounds; round++)); do
    for engine in "${engines[@]}"; do run_boot "$engine"; done
    for engine in "${engines[@]}"; do run_rows "$engine"; done
done

printf '%-10s' row
printf ' %12s' "${engines[@]}"
printf ' %8s  us per unit\n' ratio
bad=0
for name in boot $(cat "$work/names"); do
    unit="to init" note=
    if [[ $name != boot ]]; then
        unit=$(cat "$work/$name.unit")
        [[ $(sort -u "$work/$name.check" | wc -l) -eq 1 ]] || { note=' (checksums differ)'; bad=1; }
    fi
    medians=()
    for engine in "${engines[@]}"; do medians+=("$(median "$work/$engine.$name")"); done
    printf '%s ' "$name" "${medians[@]}" | awk -v unit="$unit$note" '{
        printf "%-10s", $1
        for (n = 2; n <= NF; n++) printf " %12.2f", $n / 1000
        printf " %8s  %s\n", (NF == 3 ? sprintf("%.2f", $2 / $3) : "-"), unit }'
done
exit $bad
