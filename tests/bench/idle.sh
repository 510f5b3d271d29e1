#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/idle.sh [SECONDS]
#
# Boots the stock cloud kernel under the interpreter to a guest's init that sleeps, and prints what the process costs then: host CPU time
# over SECONDS (default 10) as a share of one CPU, and memory beside guest RAM (anonymous memory of all mappings but the largest).
# KERNEL=FILE and VMM=FILE replace build/linux/vmlinuz and ./minivmm; MEMORY=MIB the guest's 512.
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
seconds=${1:-10}

printf '#!/bin/sh\necho up\nexec sleep 100000\n' >"$work/init"
chmod 755 "$work/init"
guest-images/linux/mkinitramfs "$out/idle.cpio" --modules none --init "$work/init"
"$vmm" -accel interp -m "${MEMORY:-512}" -kernel "$kernel" -initrd "$out/idle.cpio" \
    -append "console=ttyS0 quiet" >"$work/pipe" 2>"$work/err" </dev/null &
pid=$!
exec 3<"$work/pipe"
up=
while read -t 120 -u 3 -r up; do
    [[ $up != *up* ]] || break
done
[[ $up == *up* ]] || die "the guest does not come up: $(cat "$work/err")"
sleep 3 # what the kernel still does behind init's start

cpu_ns() {
    cat /proc/"$pid"/task/*/schedstat | awk '{ns += $1} END {printf "%.0f", ns}'
}
before=$(cpu_ns)
sleep "$seconds"
awk -v ns=$(($(cpu_ns) - before)) -v s="$seconds" 'BEGIN {printf "%.2f %% of a host CPU while the guest is idle\n", ns / s / 1e7}'
tests/bench/memory.sh --pid "$pid"
