#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the small guests of guest-images/small (built by `make guests`) and compares what they say.
# Usage: tests/guest/run.sh [--testbed] [--engine NAME] BINARY [TOPIC]...
#
# Every guest-images/small/<topic>.want is a test, reported as <topic>@<engine>:
#   <topic>.want   what the guest must write to COM1, byte for byte; <topic>.want.<engine> where an
#                  engine's answer is another one
#   <topic>.err    what minivmm must write to standard error; without the file: nothing
#   <topic>.args   more arguments in shell words, any number of lines; {tmp} is the test's own empty
#                  directory. Comment lines may hold directives:
#                    # image: NAME       the guest is NAME.img, not <topic>.img
#                    # status: N         the exit status; 33 without it: PASS through isa-debug-exit
#                    # stdin: pipe       standard input comes through a pipe, not from the file
#                    # skip-if: PATTERN  status 1 with a line on standard error that matches this
#                                        basic regular expression is a skip: the host is too small
#                    # hardware: REASON  under -accel kvm: skipped where /proc/cpuinfo shows neither
#                                        svm nor vmx
#                    # not-kvm: REASON   under -accel kvm: skipped, everywhere
#   <topic>.stdin  standard input; without it /dev/null
#   <topic>.sh     `sh <topic>.sh setup` runs in {tmp} before the guest (makes disks, or a file
#                  `stdin`), `sh <topic>.sh check` after it; what check says when it fails is shown
#
# A guest that is not done in GUEST_TIMEOUT seconds (default 60) fails.
#
# --testbed runs all of this inside one session of tests/testbed, where /dev/kvm has nested paging.
# Only a POSIX shell and the tools of busybox are needed, because that is what is in there.
set -u
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
small=$top/guest-images/small
images=$top/build/guest-images
engine=kvm
testbed=

usage() {
    echo "usage: tests/guest/run.sh [--testbed] [--engine NAME] BINARY [TOPIC]..." >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --testbed) testbed=1 ;;
    --engine)
        [ $# -ge 2 ] || usage
        engine=$2
        shift
        ;;
    --*) usage ;;
    *) break ;;
    esac
    shift
done
[ $# -ge 1 ] && [ -x "$1" ] || usage
bin=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
shift

passed=0 failed=0 skipped=0

report() {
    printf '%-4s guest/%s@%s%s\n' "$1" "$2" "$engine" "${3:+: $3}"
    case $1 in
    PASS) passed=$((passed + 1)) ;;
    FAIL) failed=$((failed + 1)) ;;
    SKIP) skipped=$((skipped + 1)) ;;
    esac
}

finish() {
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
    exit
}

[ $# -gt 0 ] || set -- $(cd "$small" && ls ./*.want | sed 's|^\./||; s|\.want$||')

# --- the testbed: the same script in there --------------------------------------------------------

if [ "$testbed" ]; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    "$top/tests/testbed/testbed" --timeout 900 --file "$bin" --file "$images" --file "$small" \
        --file "$here" -- "$here/run.sh" --engine "$engine" "$bin" "$@" 2>"$log"
    status=$?
    cat "$log" >&2
    [ $status -eq 125 ] || exit $status
    engine=testbed
    for topic; do report SKIP "$topic" "$(tail -n 1 "$log")"; done
    finish
fi

# --- one test -------------------------------------------------------------------------------------

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Directive NAME of the present topic, or DEFAULT.
directive() {
    value=
    [ -f "$small/$topic.args" ] &&
        value=$(sed -n "s/^# $1: *//p" "$small/$topic.args" | head -n 1)
    printf '%s' "${value:-$2}"
}

set_up() {
    rm -rf "$work/tmp"
    mkdir "$work/tmp"
    : >"$work/args"
    if [ -f "$small/$topic.args" ]; then
        grep -v '^#' "$small/$topic.args" | sed "s|{tmp}|$work/tmp|g" | tr '\n' ' ' >"$work/args"
    fi
    [ -f "$small/$topic.sh" ] || return 0
    (cd "$work/tmp" && sh "$small/$topic.sh" setup) >"$work/said" 2>&1
}

stdin_file() {
    for file in "$work/tmp/stdin" "$small/$topic.stdin"; do
        [ ! -f "$file" ] || break
        file=/dev/null
    done
    printf '%s' "$file"
}

# Runs the guest; its output is in $work/out and $work/err.
run_guest() {
    image=$images/$(directive image "$topic").img
    input=$(stdin_file)
    eval "set -- $(cat "$work/args")"
    set -- -accel "$engine" -kernel "$image" -device isa-debug-exit,iobase=0xf4,iosize=4 \
        -timeout "${GUEST_TIMEOUT:-60}" "$@"
    patience=$((${GUEST_TIMEOUT:-60} + 10)) # for a minivmm that does not even heed -timeout
    if [ "$(directive stdin file)" = pipe ]; then
        cat "$input" | timeout -s KILL "$patience" "$bin" "$@" >"$work/out" 2>"$work/err"
    else
        timeout -s KILL "$patience" "$bin" "$@" >"$work/out" 2>"$work/err" <"$input"
    fi
}

# What is wrong with the run that ended with STATUS, in lines; nothing when all is well.
complaints() {
    wanted=$(directive status 33)
    [ "$1" -eq "$wanted" ] || echo "exit status $1, expected $wanted"
    said=$small/$topic.want.$engine
    [ -f "$said" ] || said=$small/$topic.want
    diff -u "$said" "$work/out" >"$work/diff" || {
        echo "serial output differs:"
        tail -n +3 "$work/diff"
    }
    errors=$small/$topic.err
    [ -f "$errors" ] || errors=/dev/null
    diff -u "$errors" "$work/err" >"$work/diff" || {
        echo "standard error differs:"
        tail -n +3 "$work/diff"
    }
    if [ -f "$small/$topic.sh" ]; then
        (cd "$work/tmp" && sh "$small/$topic.sh" check) 2>&1 || echo "check failed"
    fi
}

run_topic() {
    if [ ! -f "$small/$topic.want" ]; then
        report FAIL "$topic" "there is no such topic"
        return
    fi
    if [ ! -f "$images/$(directive image "$topic").img" ]; then
        report FAIL "$topic" "not built: make guests"
        return
    fi
    flaw=$(directive hardware '')
    if [ "$engine" = kvm ] && [ "$flaw" ] && ! grep -qwE 'svm|vmx' /proc/cpuinfo; then
        report SKIP "$topic" "$flaw (no svm or vmx in /proc/cpuinfo)"
        return
    fi
    flaw=$(directive not-kvm '')
    if [ "$engine" = kvm ] && [ "$flaw" ]; then
        report SKIP "$topic" "$flaw"
        return
    fi
    if ! set_up; then
        report FAIL "$topic" "set-up failed: $(cat "$work/said")"
        return
    fi
    run_guest
    status=$?
    pattern=$(directive skip-if '')
    if [ $status -eq 1 ] && [ "$pattern" ] && grep -q "$pattern" "$work/err"; then
        report SKIP "$topic" "$(grep -m 1 "$pattern" "$work/err")"
        return
    fi
    complaints $status >"$work/complaints"
    if [ -s "$work/complaints" ]; then
        report FAIL "$topic"
        sed 's/^/    /' "$work/complaints"
    else
        report PASS "$topic"
    fi
}

# Does the engine work here at all? minivmm knows; what it says is the reason for skipping.
why_not() {
    "$bin" -accel "$engine" -kernel "$images/hello_real.img" -serial null -timeout 20 \
        -device isa-debug-exit,iobase=0xf4,iosize=4 </dev/null 2>&1 >/dev/null |
        grep -m 1 "^minivmm: -accel $engine: "
}

no_engine=$(why_not)
for topic; do
    if [ "$no_engine" ]; then
        report SKIP "$topic" "$no_engine"
    else
        run_topic
    fi
done
finish
