#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Random instruction sequences on the host's CPU and on the software CPU (tests/cpu/native), family by family, for SECONDS each.
# Usage: tests/cpu/native/run.sh COMPARE [SECONDS]        SEED=N repeats a run; without it the seed is new every time, and printed.
set -u

compare=$1
seconds=${2:-12}
seed=${SEED:-$(od -An -N 4 -t u4 /dev/urandom | tr -d ' ')}
passed=0 failed=0 skipped=0

family() {
    name=$1
    shift
    said=$("$compare" --seed "$seed" --seconds "$seconds" --count 1000000000 "$@" 2>&1)
    status=$?
    last=$(printf '%s\n' "$said" | tail -n 1)
    case $status in
    0)
        passed=$((passed + 1))
        echo "ok   cpu/native/$name: seed $seed: $last"
        ;;
    77)
        skipped=$((skipped + 1))
        echo "SKIP cpu/native/$name: $last"
        ;;
    *)
        failed=$((failed + 1))
        echo "FAIL cpu/native/$name: seed $seed, exit status $status; repeat: $compare --seed N --count 1 $*"
        printf '%s\n' "$said" | sed 's/^/    /'
        ;;
    esac
}

family int-64 --family int --mode 64
family int-32 --family int --mode 32
family vec --family vec
family x87 --family x87
family mmx --family mmx

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
