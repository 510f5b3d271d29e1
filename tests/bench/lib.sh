# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the benchmarks. The working directory becomes the top of the tree; then there are
#   $top $out        the top; build/bench, where what is built stays
#   $vmm $kernel     VMM=FILE and KERNEL=FILE in the environment replace ./minivmm and the stock kernel
#   $work            a folder in memory that goes when the script does, with what it left running; $work/pipe is a pipe
# and words for rows of work in a guest (rows.h), for the CPU time that they cost the host, and for medians and tables of them.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
top=$PWD
out=$top/build/bench
vmm=${VMM:-$top/minivmm}
kernel=${KERNEL:-$(guest-images/linux/fetch-kernel)/vmlinuz}
mkdir -p "$out"
work=$(mktemp -d -p /dev/shm)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
mkfifo "$work/pipe"

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# ROUNDS [software|kvm]... [--rounds N]: into $modes (without any: both) and $rounds.
read_words() {
    rounds=$1 modes=()
    shift
    while (($#)); do
        case $1 in
        --rounds) rounds=$2 && shift ;;
        software | kvm) modes+=("$1") ;;
        *) die "unknown word '$1'" ;;
        esac
        shift
    done
    ((${#modes[@]})) || modes=(software kvm)
}

# A function of awk: of numbers in a string.
awk_median='function median(list,   v, n, i, j, t) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return v[int((n + 1) / 2)]
}'

# PID...: the processes whose CPU time counts from now on.
declare -A all_us host_us
watch_cpu() {
    pids=("$@") all_us=() host_us=()
}

# Their microseconds: of all threads into $all, of those that run no guest code into $host. A thread that has ended keeps what it had.
read_cpu() {
    local thread ns pid name us
    for pid in "${pids[@]}"; do
        for thread in /proc/"$pid"/task/*; do
            { read -r ns _ <"$thread/schedstat" && read -r name <"$thread/comm"; } 2>/dev/null || continue
            all_us[$thread]=$((ns / 1000))
            [[ $name == vcpu* || $name == CPU* ]] || host_us[$thread]=$((ns / 1000))
        done
    done
    all=0 host=0
    for us in "${all_us[@]}"; do all=$((all + us)); done
    for us in "${host_us[@]}"; do host=$((host + us)); done
}

# NAME FILE: the rows that come through the pipe from the processes that are watched, as "ROW name units all-us host-us guest-ns".
read_rows() {
    local word name units ns all0=0 host0=0
    while read -r -t 600 word name units ns _; do
        read_cpu
        case $word in
        BEGIN) all0=$all host0=$host ;;
        ROW) echo "ROW $name $units $((all - all0)) $((host - host0)) $ns" >>"$2" ;;
        fail:) echo "$1: $word $name $units" >&2 ;;
        esac
    done <"$work/pipe"
}

# OURS THEIRS COLUMN SCALE: two files of rows side by side: medians of a column, divided by units and by SCALE.
table() {
    awk -v column="$3" -v scale="$4" "$awk_median"'
        function figure(row, side) {
            return (row, side) in all ? median(all[row, side]) / units[row] / scale : ""
        }
        function shown(value, format) {
            return value == "" ? "-" : sprintf(format, value)
        }
        $1 != "ROW" { next }
        {
            if (!($2 in units)) { units[$2] = $3; order[++rows] = $2 }
            side = FILENAME == ARGV[1] ? 1 : 2
            sub(/\r$/, "")
            all[$2, side] = all[$2, side] " " $column
        }
        END {
            printf "%-14s %12s %12s %8s\n", "row", "minivmm", "qemu", "ratio"
            for (r = 1; r <= rows; r++) {
                ours = figure(order[r], 1)
                theirs = figure(order[r], 2)
                printf "%-14s %12s %12s %8s\n", order[r], shown(ours, "%.1f"), shown(theirs, "%.1f"),
                    (ours != "" && theirs > 0 ? sprintf("%.2f", ours / theirs) : "-")
            }
        }' "$1" "$2"
}
