#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What -exits costs a guest that does nothing but exit (tests/bench/exits.S: reads of port 0x61). Under the interpreter: CPU time of the process, without and
# with it in turns, ROUNDS of them (default 9); medians, and the least, which is what a busy host disturbs least. Under kvm in the testbed: instructions of the whole machine,
# one run each; two lengths of the guest, so that start and end cancel.
# Usage: tests/bench/exits.sh [interp|kvm] [ROUNDS]
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top"
engine=${1:-interp}
rounds=${2:-9}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

guest() { # READS FILE
    gcc -m32 -c -DREADS="$1" -o "$work/exits.o" tests/bench/exits.S
    ld -m elf_i386 -Ttext=0x7c00 --oformat=binary -e _start -o "$2" "$work/exits.o"
}

machine=(-m 16 -nic none -serial null -d none -device isa-debug-exit,iobase=0xf4,iosize=4)

# OPTION...: milliseconds of the processor
interp() {
    local TIMEFORMAT='%U %S' status=0
    { time ./minivmm -accel interp "${machine[@]}" -kernel "$work/guest" "$@" >/dev/null 2>"$work/err" || status=$?; } 2>"$work/time"
    ((status == 33)) || { echo "exits.sh: the guest ended with status $status: $(cat "$work/err")" >&2; exit 1; }
    awk '{print ($1 + $2) * 1000}' "$work/time"
}

# FILE OPTION...: instructions
kvm() {
    local file=$1 status=0
    shift
    tests/testbed/testbed --icount-report "$work/report" --file "$file:/guest" -- ./minivmm -accel kvm,probe=off "${machine[@]}" -kernel /guest "$@" \
        >/dev/null 2>"$work/err" || status=$?
    ((status == 33)) || { echo "exits.sh: the guest ended with status $status: $(cat "$work/err")" >&2; exit 1; }
    awk '$2 == "instructions" {print $3}' "$work/report"
}

case $engine in
interp)
    guest 40000000 "$work/guest"
    for ((i = 0; i < rounds; i++)); do
        echo "$(interp) $(interp "-exits=$work/report.json")"
    done | tee "$work/rounds" | awk '{printf "round %d: without %d ms, with %d ms\n", NR, $1, $2}'
    awk '
    function median(v, n,    i, j, t) {
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && v[j] < v[j - 1]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
    }
    function tell(what, a, b) {
        printf "%s: without %.1f ns, with %.1f ns an exit; ratio %.4f\n", what, a / 40, b / 40, b / a
    }
    { without[NR] = $1; with[NR] = $2 }
    END {
        tell("median", median(without, NR), median(with, NR)) # sorts them
        tell("least", without[1], with[1])
    }' "$work/rounds"
    ;;
kvm)
    guest 20000 "$work/short"
    guest 120000 "$work/long"
    without=$(($(kvm "$work/long") - $(kvm "$work/short")))
    with=$(($(kvm "$work/long" -exits=report.json) - $(kvm "$work/short" -exits=report.json)))
    awk -v without="$without" -v with="$with" 'BEGIN {
        printf "instructions an exit: without %.1f, with %.1f; ratio %.4f\n", without / 100000, with / 100000, with / without
    }'
    ;;
*)
    echo "usage: tests/bench/exits.sh [interp|kvm] [ROUNDS]" >&2
    exit 2
    ;;
esac
