# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the suites that are bash scripts: words to say what came of a test, which tests/run.sh reads, and what most suites need. There are then
#   $suite $here $top   the suite's name and folder; the top of the tree
#   $work               a folder that goes when the suite ends, with what it left running
#   $SLOW               a factor of the environment's, 1 without it: how much longer everything may take, for a minivmm that checks itself as it goes
# A part of a suite that runs in a process of its own gets SUITE_WORK=$work, and leaves the folder alone.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
suite=${here##*/}
passed=0 failed=0 skipped=0
export SLOW=${SLOW:-1}
if [[ ${SUITE_WORK-} ]]; then
    work=$SUITE_WORK
else
    work=$(mktemp -d)
    trap 'kill $(jobs -p) 2>/dev/null; chmod -R u+rwx "$work"; rm -rf "$work"' EXIT
fi

# NAME
pass() {
    passed=$((passed + 1))
    echo "ok   $suite/$1"
}

# NAME [WHY]: of several lines, all but the first are set off.
fail() {
    failed=$((failed + 1))
    echo "FAIL $suite/$1${2:+: ${2//$'\n'/$'\n    '}}"
}

# NAME WHY
skip() {
    skipped=$((skipped + 1))
    echo "SKIP $suite/$1: $2"
}

# FILE...: their last lines, for one who looks into a failure.
show() {
    tail -n 30 "$@" 2>/dev/null | tr -d '\r' | sed 's/^/    /'
}

# NAME WRONG [FILE]...: passed when WRONG is empty; else it says what is wrong, and the files are shown.
judge() {
    if [[ -z $2 ]]; then
        pass "$1"
    else
        fail "$1" "$2"
        (($# == 2)) || show "${@:3}"
    fi
}

# NAME COMMAND...: passed when the command succeeds.
check() {
    if "${@:2}"; then pass "$1"; else fail "$1"; fi
}

# The closing line, and the end.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
    exit
}

# WHY NAME...: none of them can run here; the end.
skip_all() {
    local name
    for name in "${@:2}"; do skip "$name" "$1"; done
    finish
}

# The stock kernel's folder, into $kernel_dir; or false, and the reason in $no_kernel.
find_kernel() {
    kernel_dir=$("$top/guest-images/linux/fetch-kernel" 2>"$work/why") && return
    # shellcheck disable=SC2034
    no_kernel="no stock kernel: $(tail -n 1 "$work/why")"
    return 1
}

# SECONDS COMMAND...: until the command succeeds, or so many seconds ($SLOW times) have passed.
await() {
    local tenths
    for ((tenths = $1 * SLOW * 10; tenths > 0; tenths--)); do
        "${@:2}" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "waited in vain for: ${*:2}" >&2
    return 1
}
