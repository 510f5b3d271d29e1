#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the CPU tests in assembly (tests/cpu/<topic>.S, built by `make cputests`): every topic on the host's CPU (native), or as a guest under an
# engine. A topic passes when all of its cases do; each part that the CPU does not offer is one skip more.
# Usage: tests/cpu/run.sh native [TOPIC]...
#        tests/cpu/run.sh --engine NAME [--testbed] BINARY [TOPIC]...
#
# Under an engine, what `minivmm probe` measured as wrong here goes to the guests as wrong=NAME words: cases that rest on it are
# skipped, by that name. Kernel-mode topics (sys_*) are skipped whole where kvm has no hardware virtualization behind it.
# The testbed (tests/testbed) gives kvm a real one. Only a POSIX shell and busybox are needed, because that is what is in there.
set -u
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
built=$top/build/tests/cpu
engine=native testbed='' bin=''
passed=0 failed=0 skipped=0

usage() {
    sed -n 's/^# \(Usage: \|       \)\(tests.*\)/\2/p' "$0" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    native) ;;
    --testbed) testbed=1 ;;
    --engine)
        [ $# -ge 3 ] || usage
        engine=$2
        shift
        ;;
    -*) usage ;;
    *) break ;;
    esac
    shift
done
if [ "$engine" != native ]; then
    [ $# -ge 1 ] && [ -x "$1" ] || usage
    bin=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
    shift
fi
[ $# -gt 0 ] || set -- $(cd "$here" && ls ./*.S | sed 's|^\./||; s|\.S$||')

if [ "$testbed" ]; then
    exec "$top/tests/testbed/testbed" --timeout 900 --file "$bin" --file "$built" --file "$here" -- \
        "$here/run.sh" --engine "$engine" "$bin" "$@"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

skip() {
    skipped=$((skipped + 1))
    echo "SKIP cpu/$topic@$engine: $1"
}

# What `minivmm probe` says of the engine here: words wrong=NAME for each check that failed, why it cannot run at all (no_engine), and why
# kernel-mode topics are out of the question (no_kernel).
measure() {
    wrong='' no_engine='' no_kernel=''
    [ "$engine" != native ] || return 0
    "$bin" probe --json 2>/dev/null | awk -v engine="$engine" '
        /"name":/ {mine = index($0, "\"" engine "\"") > 0}
        mine && /": \{/ {split($0, word, "\""); check = word[2]}
        mine && /"result": "wrong"/ {print "wrong=" check}
        mine && /"(opens|usable)": false/ {split($0, word, "\""); print word[2]}
        mine && /"reason": "/ {sub(/.*"reason": "/, ""); sub(/",?$/, ""); print "reason " $0}' >"$work/probe"
    reason=$(sed -n 's/^reason //p' "$work/probe")
    if grep -q '^opens$' "$work/probe"; then
        no_engine=$reason
    elif grep -q '^usable$' "$work/probe" && grep -q '^wrong=' "$work/probe"; then # not merely slow
        no_kernel="ring 0 does not work on this host: $reason"
    fi
    wrong=$(grep '^wrong=' "$work/probe" | tr '\n' ' ')
}

judge() { # STATUS WANTED
    sum=$(grep "^$topic: [0-9]* passed" "$work/out")
    grep '^SKIP' "$work/out" | sed "s|^SKIP $topic:|SKIP cpu/$topic@$engine:|"
    skipped=$((skipped + $(grep -c '^SKIP' "$work/out")))
    if [ "$1" -eq "$2" ] && [ "$sum" ]; then
        passed=$((passed + 1))
        echo "PASS cpu/$topic@$engine: ${sum#*: }"
        return
    fi
    failed=$((failed + 1))
    echo "FAIL cpu/$topic@$engine: exit status $1, expected $2"
    sed 's/^/    /' "$work/out" "$work/err"
}

run_native() {
    if [ ! -x "$built/$topic@native" ]; then
        failed=$((failed + 1))
        echo "FAIL cpu/$topic@native: not built: make cputests"
        return
    fi
    timeout -s KILL 60 "$built/$topic@native" >"$work/out" 2>"$work/err" </dev/null
    judge $? 0
}

run_guest() {
    if [ ! -f "$built/$topic.img" ]; then
        failed=$((failed + 1))
        echo "FAIL cpu/$topic@$engine: not built: make cputests"
        return
    fi
    timeout -s KILL 130 "$bin" -accel "$engine" -kernel "$built/$topic.img" -append "$wrong" -timeout 120 \
        -device isa-debug-exit,iobase=0xf4,iosize=4 >"$work/out" 2>"$work/err" </dev/null
    judge $? 33
}

measure
for topic; do
    case $engine,$topic in
    native,sys_*) ;; # ring 0: guests only
    native,*) run_native ;;
    *)
        if [ "$no_engine" ]; then
            skip "$no_engine"
        elif [ "$no_kernel" ] && [ "${topic#sys_}" != "$topic" ]; then
            skip "$no_kernel"
        else
            run_guest
        fi
        ;;
    esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
