#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# How minivmm ends, and how it treats the terminal: every cause has its exit status (docs/exit-codes.md) and its one line or none, comes
# soon, and leaves nothing behind: no process, lock, pidfile, temporary file, raw terminal.
# Usage: tests/end/run.sh BINARY [PATTERN]        PATTERN: only tests whose name matches this glob
#
# Needs build/guest-images/end_long.img (`make guests`) and a C compiler for the terminal's tests. The engine is END_ENGINE; else kvm where
# that works, or interp. Nothing is timed but that the end comes within END_S seconds of its cause; a run that nobody ends is ended by
# -timeout.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
set -m # jobs get default signals and a process group each

bin=$(realpath "${1:?usage: tests/end/run.sh BINARY [PATTERN]}")
comm=${bin##*/}
pattern=${2:-*}
image=$top/build/guest-images/end_long.img
END_S=$((20 * SLOW))
trap 'exit 1' HUP INT TERM
pid=

# --- one test: a name and a function; what the function prints is what is wrong -----------------------------------------------------------

t() {
    name=$1
    shift
    [[ $name == $pattern ]] || return 0
    if [[ $no_engine ]]; then
        skip "$name" "$no_engine"
        return
    fi
    T=$work/t
    rm -rf "$T"
    mkdir -p "$T/tmp"
    head -c 32768 /dev/zero | tee "$T/disk" >"$T/disk2"
    export TMPDIR=$T/tmp
    "$@" >"$work/wrong" 2>"$work/noise" # what bash says of jobs that signals end
    [[ -z $pid ]] || kill -KILL -- "-$pid" 2>/dev/null
    pid=
    if [[ -s $work/wrong ]]; then
        fail "$name"
        sed 's/^/    /' "$work/wrong" "$work/noise"
    else
        pass "$name"
    fi
}

without() {
    [[ $1 != $pattern ]] || skip "$1" "$2"
}

# Code where there is no memory: kvm gives up. To interp it is a fetch of all ones like any other, and nothing else makes it give up.
fails() {
    if [[ $engine == kvm ]]; then t "$@"; else without "$1" "nothing that a guest does makes the engine $engine fail"; fi
}

wrong() {
    echo "$@"
}

# The command line of every run. Its guest does what -append says.
machine() {
    args=("$bin" -accel "$engine" -kernel "$image" -device isa-debug-exit,iobase=0xf4,iosize=4 -timeout $((60 * SLOW)) -pidfile "$T/pid" "$@")
}

# Start in the background: input from $in, output to $out and $err.
start() {
    machine "$@"
    rm -f "$T/out" "$T/err" # nobody is to take an earlier run's words for this one's
    "${args[@]}" <"${in:-/dev/null}" >"${out:-$T/out}" 2>"${err:-$T/err}" &
    pid=$!
}

wait_for() {
    for _ in {1..600}; do
        eval "$1" && return
        sleep 0.05
    done
    wrong "waited in vain for: $1"
}

wait_ready() {
    wait_for "grep -q '^ready' '$T/out' 2>/dev/null"
}

# The process ends in time with STATUS.
ends() {
    for ((i = 0; i < END_S * 20; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    if kill -0 "$pid" 2>/dev/null; then
        wrong "still running $END_S s later"
        kill -KILL "$pid"
    fi
    wait "$pid" 2>/dev/null
    local status=$?
    [[ $1 == any || $status == "$1" ]] || wrong "exit status $status, expected $1"
}

# Standard error is exactly these lines (extended regular expressions), or nothing.
says() {
    local n=0 line lines
    mapfile -t lines <"$T/err"
    for line; do
        [[ ${lines[n]-} =~ ^$line$ ]] || wrong "line $((n + 1)) on stderr is '${lines[n]-}', expected '$line'"
        n=$((n + 1))
    done
    [[ ${#lines[@]} == "$#" ]] || wrong "${#lines[@]} lines on stderr, expected $#: ${lines[*]}"
}

leaves_nothing() {
    local stat left
    for stat in /proc/[0-9]*/stat; do
        left=$(sed 's/.*) //' "$stat" 2>/dev/null) || continue
        set -- $left
        [[ ${3-} != "$pid" || $1 == Z ]] || wrong "left behind: process $stat"
    done
    [[ ! -e $T/pid ]] || wrong "the pidfile is left behind"
    [[ -z $(ls -A "$T/tmp") ]] || wrong "left in TMPDIR: $(ls -A "$T/tmp")"
    pid=
    # The image's lock is gone: the next run gets it at once.
    machine -append exit -disk "$T/disk"
    "${args[@]}" </dev/null >"$T/out2" 2>"$T/err2"
    [[ $? == 33 && ! -s $T/err2 ]] || wrong "the next run fails: $(cat "$T/err2")"
}

# --- causes -------------------------------------------------------------------------------------------------------------------------------

# STATUS LINE ARG...: the guest (or the command line) ends it.
cause() {
    local status=$1 line=$2
    shift 2
    start -disk "$T/disk" "$@"
    ends "$status"
    if [[ $line ]]; then says "$line"; else says; fi
    leaves_nothing
}

# --- results ------------------------------------------------------------------------------------------------------------------------------

# Keys of the last run's result and what they hold: [KEY WANT]...
result_has() {
    local got
    while (($#)); do
        got=$("$json" "$T/result" "$1" 2>&1)
        [[ $got == $2 ]] || wrong "-result: $1 is '$got', expected '$2'"
        shift 2
    done
}

# STATUS CAUSE JUNIT ARG...: the same end in -result and -junit, whatever was there before; nothing lies beside them.
result() {
    local status=$1 name=$2 junit=$3
    shift 3
    echo old >"$T/result"
    start -disk "$T/disk" -result "$T/result" -junit "$T/junit,pass=33" "$@"
    [[ ! $signal ]] || { wait_ready && kill "-$signal" "$pid"; }
    ends "$status"
    result_has schema 1 cause "$name" status "$status" console.0 "${first:-ready}"
    local message
    message=$(tail -n 1 "$T/err")
    message=${message#minivmm: }
    [[ $("$json" "$T/result" message) == "${message:-null}" ]] || wrong "-result: message is $("$json" "$T/result" message)"
    grep -q "<$junit" "$T/junit" || wrong "-junit has no $junit: $(cat "$T/junit")"
    [[ -z $(ls "$T" | grep -E '^(result|junit)\.') ]] || wrong "left behind: $(ls "$T")"
    rm "$T/result"
    machine -append exit -result "$T/result"
    "${args[@]}" </dev/null >/dev/null 2>&1
    result_has cause debug-exit guest_status 16 engine '[a-z]*' exits.total '[1-9]*' wall_s '*.*' started '20*Z'
    rm -f "$T/pid"
}

result_bug() {
    echo old >"$T/result"
    start -append spin -result "$T/result" -junit "$T/junit"
    wait_ready
    kill -SEGV "$pid"
    ends 245
    result_has schema 1 cause vmm-bug status 245 message 'bug: signal 11 (SIGSEGV)*' console '[]'
    grep -q '<error type="vmm-bug"' "$T/junit" || wrong "-junit: $(cat "$T/junit")"
    [[ -z $(ls "$T" | grep -E '^(result|junit)\.') ]] || wrong "left behind: $(ls "$T")"
}

# Nobody can tell of this one; there is no half file either.
result_of_kill() {
    echo old >"$T/result"
    start -append spin -result "$T/result" -junit "$T/junit" -exits="$T/exits.json"
    wait_ready
    kill -KILL "$pid"
    ends 137
    [[ $(<"$T/result") == old ]] || wrong "the old one is gone: $(<"$T/result")"
    [[ -z $(ls "$T" | grep -E '^(result\.|junit|exits)') ]] || wrong "left behind: $(ls "$T")"
}

# Before there is an event loop a signal does what it does to any program, but is told.
result_of_signal_in_setup() {
    mkfifo "$T/log"
    start -D "$T/log" -result "$T/result"
    wait_for "ls -l /proc/$pid/fd | grep -qE '$T/(#|result)'" # open, without a name where there are such files
    sleep 0.2
    kill -TERM "$pid"
    ends 143
    result_has cause signal status 143 signal 15 message 'ended by a signal 15'
    [[ -z $(ls "$T" | grep '^result\.') ]] || wrong "left behind: $(ls "$T")"
}

result_of_engine_failure() {
    start -append fail -result "$T/result" -junit "$T/junit"
    ends 244
    result_has cause engine-failure status 244 message 'engine * failed on vCPU 0*' exits.fail 1
    grep -q '<error type="engine-failure"' "$T/junit" || wrong "-junit: $(cat "$T/junit")"
}

result_of_quit() {
    tty 0 expect:ready raw 'send:\x01x' -- -append spin -result "$T/result" -junit "$T/junit"
    result_has cause quit status 0 guest_status null message null
    grep -q '<skipped message="quit by the user"' "$T/junit" || wrong "-junit: $(cat "$T/junit")"
}

result_of_rubbish() {
    start -append rubbish -result "$T/result" -junit "$T/junit,pass=33"
    ends 33
    local r=$'\xef\xbf\xbd'
    local want=$r$'\1\7\e[m'$r$r$r$r$r$r'<&>"]]>'
    [[ $("$json" "$T/result" console.1) == "$want" ]] || wrong "-result: console.1 is $("$json" "$T/result" console.1)"
    result_has console.2 "end$r"
    grep -qF "$r$r$r$r[m$r$r$r$r$r$r&lt;&amp;&gt;&quot;]]&gt;" "$T/junit" || wrong "-junit: $(cat "$T/junit")"
    [[ ! $(command -v xmllint) ]] || xmllint --noout "$T/junit" || wrong "-junit is no XML"
}

# What cannot be written is an error before the guest runs, or, if it comes to that only then, a line and no success.
result_unwritable() {
    start -append exit -result "$T/no/such/file"
    ends 1
    says "minivmm: -result: create a file beside '.*/no/such/file': No such file or directory"
    [[ ! -s $T/out ]] || wrong "the guest ran"
    start -append poweroff -result /dev/full
    ends 1
    says "minivmm: -result: write '/dev/full': No space left on device"
    start -append triple -result /dev/full
    ends 241
    says 'minivmm: guest triple fault on vCPU 0' "minivmm: -result: write '/dev/full': No space left on device"
}

two_lines() {
    local status=$1 first=$2 second=$3
    shift 3
    start -disk "$T/disk" "$@"
    ends "$status"
    says "$first" "$second"
    leaves_nothing
}

watchdog_then_poweroff() {
    start -append watchdog -device i6300esb -result "$T/result"
    ends 0
    says 'minivmm: warning: the watchdog fired: the guest is reset'
    result_has cause poweroff restarts 1 watchdogs 1
    leaves_nothing
}

engine_failure() {
    start -append fail
    ends 244
    head -n 1 "$T/err" | grep -qE '^minivmm: engine [a-z]+ failed on vCPU 0 at rip 0xd0000000: .' || wrong "says: $(head -n 1 "$T/err")"
    [[ $(grep -c '^minivmm:' "$T/err") == 1 ]] || wrong "more than one line of ours: $(grep '^minivmm:' "$T/err")"
    leaves_nothing
}

# Two CPUs at once: power-off or debug-exit, never both or neither.
race() {
    for _ in 1 2 3 4 5; do
        start -smp 2 -append race -disk "$T/disk"
        ends any
        wait "$pid" 2>/dev/null
        says
        leaves_nothing
    done
}

several_signals() {
    start -append halt -disk "$T/disk"
    wait_ready
    kill -INT "$pid"
    kill -TERM "$pid" 2>/dev/null
    kill -HUP "$pid" 2>/dev/null
    ends any
    says 'minivmm: ended by a signal (2 \(Interrupt\)|15 \(Terminated\)|1 \(Hangup\))'
    leaves_nothing
}

# --- signals ------------------------------------------------------------------------------------------------------------------------------

declare -A number=([HUP]=1 [INT]=2 [QUIT]=3 [TERM]=15) word=([HUP]=Hangup [INT]=Interrupt [QUIT]=Quit [TERM]=Terminated)

ended_by() {
    echo "minivmm: ended by a signal ${number[$1]} \\(${word[$1]}\\)"
}

# SIGNAL ARG...
signal() {
    local sig=$1
    shift
    start "$@" -disk "$T/disk"
    wait_ready
    kill "-$sig" "$pid"
    ends $((128 + ${number[$sig]}))
    says "$(ended_by "$sig")"
    leaves_nothing
}

# In set-up nothing is there to clean up yet: the signal does what it does to any program. Here opening the log waits for its reader.
signal_in_setup() {
    mkfifo "$T/log"
    start -D "$T/log" -disk "$T/disk"
    wait_for "[[ \$(cat /proc/$pid/comm) == '${comm:0:15}' ]]"
    kill "-$1" "$pid"
    ends $((128 + ${number[$1]}))
    says
    leaves_nothing
}

# At any moment of set-up: before its signals are the event loop's, and after.
signal_early() {
    local delay
    for delay in 0 0.002 0.004 0.006 0.008 0.01 0.015 0.02 0.03 0.05; do
        start -disk "$T/disk" -append spin
        sleep $delay
        kill -TERM "$pid"
        ends 143
        [[ ! -s $T/err ]] || says "$(ended_by TERM)"
        leaves_nothing
    done
}

# Output into a pipe that nobody reads. SIGNAL and what fills it: flood, blind; "both": stderr goes there too.
signal_stuck() {
    mkfifo "$T/pipe"
    exec 8<>"$T/pipe"
    out=$T/pipe
    [[ ${3-} != both ]] || err=$T/pipe
    start -disk "$T/disk" -append "$2" ${4-}
    out='' err=''
    sleep 2 # the pipe fills up
    kill "-$1" "$pid"
    ends $((128 + ${number[$1]}))
    exec 8>&-
    [[ ${3-} == both ]] || grep -qE "$(ended_by "$1")" "$T/err" || wrong "stderr: $(cat "$T/err")"
    leaves_nothing
}

# A reset that is under way must not swallow the signal, which comes once.
signal_between_resets() {
    for delay in 0.3 0.33 0.37 0.42; do
        start -disk "$T/disk" -append reset
        wait_ready
        sleep $delay
        kill -TERM "$pid"
        ends 143
        says "$(ended_by TERM)"
        leaves_nothing
    done
}

ignored_signals_stay_ignored() {
    machine -append key
    mkfifo "$T/in"
    exec 8<>"$T/in"
    (trap '' HUP INT QUIT; exec "${args[@]}") <"$T/in" >"$T/out" 2>"$T/err" &
    pid=$!
    wait_ready
    kill -HUP "$pid"
    kill -INT "$pid"
    kill -QUIT "$pid"
    sleep 0.3
    kill -0 "$pid" 2>/dev/null || wrong "ended by a signal that it was started to ignore"
    kill -TERM "$pid"
    ends 143
    exec 8>&-
    says "$(ended_by TERM)"
}

stop_and_continue() {
    start -append halt
    wait_ready
    kill -STOP "$pid"
    sleep 0.2
    kill -CONT "$pid"
    kill -TERM "$pid"
    ends 143
    says "$(ended_by TERM)"
    leaves_nothing
}

# --- bugs ---------------------------------------------------------------------------------------------------------------------------------

bug_line='minivmm: bug: signal [0-9]+ \(SIG[A-Z]+\) at [^ ]+; please report it with the command line and what .minivmm -version. says'

# SIGNAL [THREAD ARG...]
bug() {
    local sig=$1 thread=${2-}
    shift "$(($# > 1 ? 2 : 1))"
    start "$@"
    wait_ready
    if [[ $thread ]]; then
        wait_for "'$helper' tid $pid $thread >/dev/null"
        "$helper" tkill "$pid" "$thread" "$(kill -l "$sig")" || wrong "no thread $thread"
    else
        kill "-$sig" "$pid"
    fi
    ends 245
    says "$bug_line"
    rm -f "$T/pid" # which a crash leaves
    leaves_nothing
}

# --- standard descriptors -----------------------------------------------------------------------------------------------------------------

# Which of them is closed. A disk that took the place of one would be written to.
closed() {
    machine -append "$2" -disk "$T/disk" -serial stdio
    case $1 in
    in) "${args[@]}" <&- >"$T/out" 2>"$T/err" ;;
    out) "${args[@]}" </dev/null >&- 2>"$T/err" ;;
    err) "${args[@]}" </dev/null >"$T/out" 2>&- ;;
    all) "${args[@]}" <&- >&- 2>&- ;;
    esac
    local status=$?
    [[ $status == "$3" ]] || wrong "exit status $status, expected $3"
    [[ ! -s $T/err || $3 != 33 ]] || wrong "says $(cat "$T/err")"
    cmp -s "$T/disk" <(head -c 32768 /dev/zero) || wrong "the disk got console output"
}

output_of_options() {
    "$bin" -version >&- || wrong "-version with stdout closed: status $?"
    "$bin" -h | head -n 1 >/dev/null
    [[ ${PIPESTATUS[0]} == 0 ]] || wrong "-h into a pipe that is closed early"
    "$bin" -h >/dev/full 2>"$T/err"
    [[ $? == 1 ]] || wrong "-h onto a full disk does not fail"
    says 'minivmm: write to standard output: No space left on device'
}

reader_leaves() {
    mkfifo "$T/pipe"
    head -n 1 "$T/pipe" >"$T/first" &
    out=$T/pipe
    start -append flood
    out=
    wait_for "[[ -s '$T/err' ]]"
    kill -0 "$pid" 2>/dev/null || wrong "ended because its reader left"
    kill -TERM "$pid"
    ends 143
    [[ $(cat "$T/first") == ready ]] || wrong "the reader got $(cat "$T/first")"
    says 'minivmm: warning: serial output to stdout: Broken pipe; .*' "$(ended_by TERM)"
}

file_size_limit() {
    local aio
    for aio in io_uring threads; do
        machine -append diskfails -disk "$T/disk,aio=$aio" -pidfile ''
        unset 'args[-1]' 'args[-1]'
        (ulimit -f 1; exec "${args[@]}") </dev/null >"$T/out" 2>"$T/err"
        local status=$?
        if grep -q 'io_uring is refused' "$T/err"; then
            continue
        fi
        [[ $status == 0 ]] || wrong "aio=$aio: exit status $status: $(cat "$T/err")"
        grep -q 'disk status 1' "$T/out" || wrong "aio=$aio: the guest saw no error: $(cat "$T/out")"
    done
    machine -append flood -serial "file:$T/log" -timeout 1
    (ulimit -f 1; exec "${args[@]}") </dev/null >"$T/out" 2>"$T/err"
    [[ $? == 124 ]] || wrong "serial output beyond the limit: status $?"
    grep -q "serial output to '$T/log': File too large" "$T/err" || wrong "says $(cat "$T/err")"
}

pidfile_spares_devices() {
    machine -append exit -pidfile "$T/null"
    mknod "$T/null" c 1 3 2>/dev/null || return 0 # only root can try
    "${args[@]}" </dev/null >"$T/out" 2>"$T/err"
    [[ -c $T/null ]] || wrong "a device given as pidfile was removed"
}

# --- restarts -----------------------------------------------------------------------------------------------------------------------------

# Descriptors, threads and resident KiB after so many restarts.
use_after() {
    mkfifo "$T/in.$1"
    exec 8<>"$T/in.$1"
    in=$T/in.$1
    start -smp 4 -m 64 -append "resets=$1 key poweroff" -disk "$T/disk"
    in=
    wait_ready
    # The kernel's own io_uring workers (iou-*) come and go.
    use="$(ls "/proc/$pid/fd" | wc -l) $(cat "/proc/$pid/task/"*/comm | grep -vc '^iou-')"
    rss=$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")
    echo >&8
    ends 0
    exec 8>&-
    says
    leaves_nothing
}

restarts_leak_nothing() {
    local use rss few few_rss
    use_after 3
    few=$use few_rss=$rss
    use_after 50
    [[ $use == "$few" ]] || wrong "descriptors and threads after 50 restarts: $use; after 3: $few"
    [[ $sanitized ]] || ((rss - few_rss < 1024)) || wrong "memory after 50 restarts: $rss KiB; after 3: $few_rss"
}

# --- set-up that fails --------------------------------------------------------------------------------------------------------------------

# Under ever higher limits each step fails in turn: status 1 and one line, until all is well.
few_descriptors() {
    local n status
    for ((n = 3; n < 40; n++)); do
        machine -append exit -disk "$T/disk" -disk "$T/disk2,snapshot=on" -serial stdio -serial pty
        (ulimit -n "$n"; exec "${args[@]}") </dev/null >"$T/out" 2>"$T/err"
        status=$?
        [[ $status == 33 ]] && break
        [[ $status == 127 ]] && continue # not even loaded
        [[ $status == 1 && $(grep -vc 'char device redirected' "$T/err") == 1 ]] ||
            wrong "with $n descriptors: status $status: $(cat "$T/err")"
        [[ ! -e $T/pid ]] || wrong "with $n descriptors: the pidfile is left behind"
    done
    ((n > 8 && n < 40)) || wrong "the limit had no effect: $n"
}

little_memory() {
    local kib status
    for ((kib = 8192; kib < 400000; kib += kib / 8)); do
        machine -m 64 -append exit -smp 4 -disk "$T/disk"
        (ulimit -v "$kib"; exec "${args[@]}") </dev/null >"$T/out" 2>"$T/err"
        status=$?
        [[ $status == 33 ]] && break
        [[ $status == 127 ]] && continue # not even loaded
        [[ $status == 1 && $(wc -l <"$T/err") == 1 ]] || wrong "in $kib KiB: status $status: $(cat "$T/err")"
    done
    [[ $status == 33 ]] || wrong "never enough: $(cat "$T/err")"
}

# --- the terminal -------------------------------------------------------------------------------------------------------------------------

# STATUS STEP... -- ARG...
tty() {
    local status=$1 steps=()
    shift
    while [[ $1 != -- ]]; do
        steps+=("$1")
        shift
    done
    shift
    machine "$@"
    "$helper" "${steps[@]}" -- "${args[@]}" >"$T/out" 2>"$T/err"
    local got=$?
    [[ $got == "$status" && ! -s $T/err ]] || wrong "status $got, expected $status; $(cat "$T/err"); output: $(cat "$T/out")"
}

# --- all of them --------------------------------------------------------------------------------------------------------------------------

T=$work name=engine
no_engine=
engine=${END_ENGINE:-kvm}
[[ -f $image ]] || no_engine="$image is not built: make guests"
if [[ ! $no_engine ]]; then
    machine -append exit
    no_engine=$("${args[@]}" </dev/null 2>&1 >/dev/null | grep -m 1 '^minivmm: -accel')
    if [[ $no_engine && ! ${END_ENGINE-} ]]; then
        engine=interp no_engine=
    fi
fi
json=$work/json
no_json=
${CC:-cc} -std=gnu17 -O1 -o "$json" "$here/json.c" -ljansson 2>"$work/cc" ||
    no_json="cannot compile tests/end/json.c: $(head -n 1 "$work/cc")"
helper=$work/pty_run
no_helper=
${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O1 -o "$helper" "$here/pty_run.c" -lutil 2>"$work/cc" ||
    no_helper="cannot compile tests/end/pty_run.c: $(head -n 1 "$work/cc")"
sanitized=$(grep -qa '__asan_init\|__tsan_init' "$bin" && echo yes)

t poweroff cause 0 '' -append poweroff
t reset_under_no_reboot cause 0 '' -append reset -no-reboot
t debug_exit cause 33 '' -append exit
t triple_fault cause 241 'minivmm: guest triple fault on vCPU 0' -append triple
t triple_fault_under_no_reboot cause 241 'minivmm: guest triple fault on vCPU 0' -append triple -no-reboot
t timeout cause 124 'minivmm: -timeout of 1 s passed' -append spin -timeout 1
t timeout_between_resets cause 124 'minivmm: -timeout of 1 s passed' -append reset -timeout 1
fails engine_failure engine_failure
t panic cause 240 'minivmm: guest panic' -append panic
t panic_none cause 0 'minivmm: warning: guest panic; it goes on \(-action panic=none\)' -append panic -action panic=none
t crash_kernel cause 0 'minivmm: guest panic: its crash kernel takes over' -append crashload
t watchdog_poweroff cause 242 'minivmm: the watchdog fired' -append watchdog -device i6300esb -action watchdog=poweroff
t watchdog_under_no_reboot cause 242 'minivmm: the watchdog fired' -append watchdog -device i6300esb -no-reboot
t watchdog_none two_lines 124 'minivmm: warning: the watchdog fired; .*' 'minivmm: -timeout of 1 s passed' -append watchdog -device i6300esb -action watchdog=none -timeout 1
t watchdog_reset watchdog_then_poweroff
if [[ $no_json ]]; then
    without result "$no_json"
else
    signal='' first=''
    t result_poweroff result 0 poweroff 'testsuite name="minivmm" tests="1" failures="0" errors="0" skipped="0"' -append poweroff
    t result_reset result 0 reset 'testsuite' -append reset -no-reboot
    t result_debug_exit result 33 debug-exit 'testsuite name="minivmm" tests="1" failures="0"' -append exit
    t result_triple_fault result 241 triple-fault 'failure type="triple-fault"' -append triple
    t result_panic result 240 panic 'failure type="panic"' -append panic
    t result_watchdog result 242 watchdog 'failure type="watchdog"' -append watchdog -device i6300esb -no-reboot
    t result_timeout result 124 timeout 'failure type="timeout"' -append spin -timeout 1
    signal=TERM
    t result_signal result 143 signal 'skipped message="ended by a signal 15' -append spin
    signal='' first='json: *'
    t result_setup_error result 1 error 'error type="error"' -kernel /no/such
    first=''
    t result_bug result_bug
    t result_of_kill result_of_kill
    t result_of_signal_in_setup result_of_signal_in_setup
    t result_of_rubbish result_of_rubbish
    fails result_of_engine_failure result_of_engine_failure
    [[ $no_helper ]] || t result_of_quit result_of_quit
    t result_unwritable result_unwritable
fi
t usage cause 2 'minivmm: .*-nonsense.*' -nonsense
t missing_kernel cause 1 'minivmm: .*/no/such/kernel.*' -kernel /no/such/kernel
t missing_disk cause 1 'minivmm: .*/no/such/disk.*' -disk /no/such/disk
t bad_serial cause 1 'minivmm: .*/no/such/dir/x.*' -serial file:/no/such/dir/x
t too_much_memory cause 1 'minivmm: -m: .*' -m 1000G
t two_cpus_end_it_at_once race
t several_signals_at_once several_signals

for sig in HUP INT QUIT TERM; do
    t "${sig}_while_spinning" signal $sig -append spin
    t "${sig}_while_halted" signal $sig -append halt
    t "${sig}_while_the_disk_is_busy" signal $sig -append disk
    t "${sig}_in_setup" signal_in_setup $sig
done
t TERM_while_threads_do_disk_io signal TERM -disk "$work/t/disk2,aio=threads" -append disk
t TERM_early signal_early
t TERM_on_four_cpus signal TERM -smp 4 -append spin
t TERM_between_resets signal_between_resets
for sig in INT TERM; do
    t "${sig}_while_output_is_stuck" signal_stuck $sig flood
    t "${sig}_while_output_is_stuck_and_the_guest_does_not_look" signal_stuck $sig blind
    t "${sig}_while_output_and_stderr_are_stuck" signal_stuck $sig flood both
    t "${sig}_while_the_log_is_stuck" signal_stuck $sig misbehave both '-d guest'
done
t ignored_signals_stay_ignored ignored_signals_stay_ignored
t stop_and_continue stop_and_continue

for sig in SEGV BUS FPE ILL ABRT; do
    t "bug_$sig" bug $sig
done

t stdin_closed closed in exit 33
t stdout_closed closed out exit 33
t stderr_closed closed err exit 33
t all_closed closed all exit 33
t all_closed_and_power_off closed all poweroff 0
t all_closed_and_an_error closed all triple 241
t output_of_options output_of_options
t reader_leaves reader_leaves
t file_size_limit file_size_limit
t pidfile_spares_devices pidfile_spares_devices
t restarts_leak_nothing restarts_leak_nothing
t few_descriptors few_descriptors
if [[ $sanitized ]]; then
    without little_memory "a sanitizer needs all the address space"
else
    t little_memory little_memory
fi

if [[ $no_helper ]]; then
    without terminal "$no_helper"
else
    t bug_on_a_vcpu_thread bug SEGV vcpu0
    t bug_on_a_disk_thread bug SEGV block -append disk -disk "$work/t/disk,aio=threads"
    x='send:\x01x'
    t tty_quit tty 0 expect:ready raw "$x" -- -append spin
    t tty_help tty 0 expect:ready raw 'send:\x01h' 'expect:Ctrl-A x' 'send:\x01?' 'expect:Ctrl-A x' "$x" -- -append halt
    t tty_keys tty 0 expect:ready raw 'send:\x01\x01' 'expect:<1>' 'send:\x01a' 'expect:<1>' 'send:\x03' 'expect:<3>' \
        'send:\x1a' 'expect:<1a>' 'send:\x1c' 'expect:<1c>' 'send:\x13' 'expect:<13>' 'send:\x0d' 'expect:<d>' send:q -- -append keys
    t tty_quit_while_the_guest_reads_nothing tty 0 expect:ready raw send:abcdefghijklmnopqrstuvwxyz0123456789 "$x" -- -append spin
    t tty_poweroff tty 0 expect:ready raw send:k -- -append 'key poweroff'
    t tty_debug_exit tty 33 expect:ready raw send:k -- -append 'key exit'
    t tty_triple_fault tty 241 expect:ready raw send:k expect:triple -- -append 'key triple'
    fails tty_engine_failure tty 244 expect:ready raw send:k expect:failed -- -append 'key fail'
    t tty_timeout tty 124 expect:ready raw expect:-timeout -- -append spin -timeout 2
    for sig in HUP INT QUIT TERM; do
        t "tty_$sig" tty $((128 + ${number[$sig]})) expect:ready raw "signal:${number[$sig]}" 'expect:ended by' -- -append spin
    done
    t tty_ALRM tty 142 expect:ready raw signal:14 -- -append spin
    for sig in SEGV ABRT; do
        t "tty_bug_$sig" tty 245 expect:ready raw "signal:$(kill -l $sig)" expect:bug: -- -append spin
    done
    t tty_setup_error tty 1 expect:no/such -- -disk /no/such
    t tty_without_stdio tty 130 cooked 'send:x\x03' -- -append spin -serial null
    t tty_background tty 0 background expect:ready cooked -- -append poweroff
    t tty_background_then_foreground tty 0 background expect:ready cooked front raw send:q 'expect:<71>' -- -append keys
    t tty_ended_in_background tty 143 background expect:ready cooked signal:15 -- -append spin
    t tty_stop_and_continue tty 0 expect:ready raw signal:19 stopped stty cooked signal:18 raw send:q 'expect:<71>' -- -append keys
    t tty_stop_key_signal tty 0 expect:ready raw signal:20 stopped cooked signal:18 raw send:q 'expect:<71>' -- -append keys
    t tty_ended_after_losing_the_foreground tty 143 expect:ready raw stty back signal:15 -- -append spin
fi

finish
