#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# `make check`: runs every suite, prints what each passed, failed and skipped (with the reason) and the time it took, then the sum.
# Usage: tests/run.sh [BUILD-DIR]        A suite is a command whose output ends in "N passed, N failed, N skipped", a Check program, or speaks TAP.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build}
passed=0 failed=0 skipped=0

# Adds up the closing lines of a suite's output; a suite that ends badly without saying so counts as one failure.
count() {
    local output=$1 status=$2 p f s checks bad
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
        grep -E '^SKIP' "$output" | sed 's/^/    /'
    fi
}

suite() {
    name=$1
    shift
    local output=$build/tests/log/${name//\//_}.log start=$SECONDS status=0
    mkdir -p "${output%/*}"
    "$@" >"$output" 2>&1 </dev/null || status=$?
    seconds=$((SECONDS - start))
    count "$output" "$status"
}

for test in "$build"/tests/unit/*_test; do
    suite "unit/${test##*/}" "$test"
done
suite lint tests/lint.sh
suite cli tests/cli/run.sh ./minivmm
suite cpu/native tests/cpu/native/run.sh "$build/tests/cpu/native/compare"
suite guests/kvm tests/guest/run.sh --engine kvm ./minivmm
suite guests/interp tests/guest/run.sh --engine interp ./minivmm
suite net tests/net/run.sh ./minivmm
suite end tests/end/run.sh ./minivmm
suite testbed tests/testbed/check
suite boot tests/boot/run.sh ./minivmm

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0))
