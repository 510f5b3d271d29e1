#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# `make check`: runs every suite, several at a time; prints what each passed, failed and skipped (with the reason) and the time it took, then the sum.
# Usage: tests/run.sh [BUILD-DIR]        A suite is a command whose output ends in "N passed, N failed, N skipped", a Check program, or speaks TAP.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build}
passed=0 failed=0 skipped=0
started=() running=0 # suites, in order; as many at a time as there are processors, but not more than four testbeds' memory
processors=$(($(nproc) < 4 ? $(nproc) : 4))
limit_s=600 # no suite takes a third of it; one that hangs is a failure, with its output, and the others still run

# Adds up the closing lines of a suite's output; a suite that ends badly without saying so counts as one failure.
count() {
    local name=$1 output=$2 status=$3 seconds=$4 p f s checks bad
    p=$(sed -n 's/^\([0-9]*\) passed, [0-9]* failed, [0-9]* skipped$/\1/p' "$output" | tail -n 1)
    if [[ -n $p ]]; then
        f=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed, [0-9]* skipped$/\1/p' "$output" | tail -n 1)
        s=$(sed -n 's/^[0-9]* passed, [0-9]* failed, \([0-9]*\) skipped$/\1/p' "$output" | tail -n 1)
    elif grep -q '^1\.\.[0-9]*' "$output"; then # TAP
        p=$(grep -c '^ok [0-9]' "$output") f=$(grep -c '^not ok [0-9]' "$output") s=0
    else
        checks=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), .*/\1/p' "$output" | awk '{n += $1} END {print n + 0}')
        bad=$(sed -n 's/^[0-9]*%: Checks: [0-9]*, Failures: \([0-9]*\), Errors: \([0-9]*\)/\1 \2/p' "$output" |
            awk '{n += $1 + $2} END {print n + 0}')
        s=$(grep -c '^SKIP' "$output")
        p=$((checks - bad)) f=$bad
    fi
    ((status == 0 || f > 0)) || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-28s %5d passed %3d failed %3d skipped  %4ds\n' "$name" "$p" "$f" "$s" "$seconds"
    if ((f)); then
        sed 's/^/    /' "$output" | tail -n 60
    else
        grep -E '^(SKIP|NOTE)' "$output" | sed 's/^/    /'
    fi
}

# Runs one suite; its status and its seconds are left beside its output.
run_suite() {
    local output=$1 start=$SECONDS status=0
    shift
    timeout --kill-after=20 "$limit_s" "$@" >"$output" 2>&1 </dev/null || status=$?
    ((status != 124 && status != 137)) || echo "no end within $limit_s s: stopped" >>"$output"
    echo "$status $((SECONDS - start))" >"$output.end"
}

# Tells of the suites that have ended, in the order they were started.
report_ended() {
    local status seconds name
    while ((${#started[@]})) && [[ -e $(output_of "${started[0]}").end ]]; do
        name=${started[0]}
        started=("${started[@]:1}")
        read -r status seconds <"$(output_of "$name").end"
        count "$name" "$(output_of "$name")" "$status" "$seconds"
    done
}

output_of() {
    echo "$build/tests/log/${1//\//_}.log"
}

# Starts a suite as soon as a processor is free for it.
suite() {
    local name=$1 output
    shift
    output=$(output_of "$name")
    mkdir -p "${output%/*}"
    rm -f "$output.end"
    ((running < processors)) || { wait -n || true; running=$((running - 1)); report_ended; }
    started+=("$name")
    run_suite "$output" "$@" &
    running=$((running + 1))
}

# The stock kernel is fetched once, here; where it cannot be had, every test that wants it is a skip with this reason.
NO_KERNEL=$(guest-images/linux/fetch-kernel 2>&1 >/dev/null) && NO_KERNEL=
export NO_KERNEL=${NO_KERNEL##*$'\n'}

for test in "$build"/tests/unit/*_test; do
    suite "unit/${test##*/}" "$test"
done
suite lint tests/lint.sh
suite cli tests/cli/run.sh ./minivmm
suite boot tests/boot/run.sh ./minivmm # the longest: early
suite cpu/native tests/cpu/native/run.sh "$build/tests/cpu/native/compare"
suite cpu/asm-native tests/cpu/run.sh native
suite cpu/asm-interp tests/cpu/run.sh --engine interp ./minivmm
suite cpu/asm-kvm tests/cpu/run.sh --engine kvm ./minivmm
suite guests/kvm tests/guest/run.sh --engine kvm ./minivmm
suite guests/interp tests/guest/run.sh --engine interp ./minivmm
suite icount tests/icount/run.sh ./minivmm
suite lockstep tests/lockstep/run.sh ./minivmm
suite net tests/net/run.sh ./minivmm
suite end tests/end/run.sh ./minivmm
suite testbed tests/testbed/check
suite everyday tests/everyday/run.sh ./minivmm
suite console tests/console/run.sh ./minivmm
suite devices tests/devices/run.sh ./minivmm
suite vsock tests/vsock/run.sh ./minivmm
suite control tests/control/run.sh ./minivmm
suite gdb tests/gdb/run.sh ./minivmm
suite gdb/kvm tests/gdb/run.sh --engine kvm ./minivmm
suite gdb/testbed tests/gdb/run.sh --testbed ./minivmm
suite exits tests/exits/run.sh ./minivmm
suite fs tests/fs/run.sh ./minivmm

wait
report_ended
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
