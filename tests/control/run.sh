#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/control/run.sh MINIVMM
#
# A running machine steered from outside, under the interpreter: a stock kernel is stopped, goes on, and turns itself off when the power button is
# pressed, with rude clients beside; a session recorded with QEMU is answered in the same way; the monitor on a pipe and behind Ctrl-A c.
# Needs a C compiler and jansson for its client.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
minivmm=$(realpath "$1")
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0 skipped=0

check() {
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        echo "ok   control/$name"
    else
        failed=$((failed + 1))
        echo "FAIL control/$name"
    fi
}

# COMMAND...: until it succeeds; 60 s at most.
await() {
    local i
    for ((i = 0; i < 600; i++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "waited in vain for: $*" >&2
    return 1
}

ctl() {
    "$minivmm" ctl qmp "$@"
}

has() { # TEXT COMMAND...: its output has the text
    local text=$1
    shift
    "$@" 2>&1 | grep -qF -- "$text"
}

for program in client pty_run; do
    source=$here/$program.c
    [[ $program == client ]] || source=$top/tests/end/$program.c
    ${CC:-cc} -O1 -D_GNU_SOURCE -o "$program" "$source" -ljansson -lutil || exit 1
done

# --- a small guest that only loops: what needs no kernel ---
{ printf '\xeb\xfe'; head -c 508 /dev/zero; printf '\x55\xaa'; } >loop
truncate -s 1M disk
start_loop() {
    "$minivmm" -accel interp -kernel loop -nic none -timeout 60 -m 16 "$@"
}

start_loop -serial null -name rig -drive file=disk,format=raw,if=none,id=root -device virtio-blk-pci,drive=root -qmp unix:qmp,server=on,wait=off \
    >said 2>&1 </dev/null &
await ctl query-status
check recorded-session ./client replay qmp "$here/qemu-7.2.session"
wait $!
check quit-status test $? = 0
check socket-removed test ! -e qmp

start_loop -serial null -qmp unix:qmp -monitor unix:monitor >said 2>&1 </dev/null &
await ctl query-status
./client events qmp >events &
await grep -q READY events
check reset-while-stopped eval 'ctl stop >ctl.out && ctl system_reset >ctl.out && await grep -q "^RESET host-qmp-system-reset" events && has paused ctl query-status && ctl cont >ctl.out'
check registers-of-a-running-cpu has "RIP 0000000000007c00" ctl human-monitor-command command-line='info registers'
ctl quit >/dev/null
wait
check events-in-order diff - events <<<'READY
STOP
RESET host-qmp-system-reset
RESUME
SHUTDOWN host-qmp-quit'

check monitor-on-a-pipe eval '{ printf "info version\nstop\ninfo status\nquit\n"; sleep 1; } | start_loop -monitor stdio >pipe && grep -q "engine interp" pipe && grep -q "VM status: paused" pipe'
behind_ctrl_a_c() {
    ./pty_run raw 'send:\x01c' 'expect:minivmm monitor' 'send:info statux\x7fs\x0d' 'expect:VM status: running' 'send:stop\x0d' \
        'send:info status\x0d' 'expect:VM status: paused' 'send:cont\x0d' 'send:\x01c' 'send:not for the monitor\x0d' 'send:\x01c' \
        'expect:minivmm monitor' 'send:quit\x0d' -- "$minivmm" -accel interp -kernel loop -nic none -timeout 60 -m 16 >pty.out 2>&1
}
check monitor-behind-ctrl-a-c behind_ctrl_a_c
check guest-keys-stay-the-guests eval '! grep -q "no command .not" pty.out'

# --- a stock kernel ---
kernel_dir=$("$top/guest-images/linux/fetch-kernel" 2>why) || {
    skipped=1
    echo "SKIP control/powerdown: no stock kernel: $(tail -n 1 why)"
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
    exit
}
"$top/guest-images/linux/mkinitramfs" initrd.cpio --modules button,evdev --init "$here/guest.sh" || exit 1
"$minivmm" -accel interp -kernel "$kernel_dir/vmlinuz" -initrd initrd.cpio -append 'console=ttyS0' -nic none -m 256 -timeout 120 \
    -serial file:com1 -qmp unix:qmp -result result >said 2>&1 </dev/null &
machine=$!
await ctl query-status
./client events qmp >events &
await grep -q READY events
for seed in 1 2; do
    timeout 30 ./client rude qmp "$seed" || echo "rude client $seed: $?"
done
check ready await grep -q 'TEST ready /dev/input' com1
ctl stop >/dev/null
size=$(stat -c %s com1)
check stopped has '"paused"' ctl query-status
check button-of-a-stopped-guest has '{}' ctl system_powerdown
sleep 1
check stopped-guest-is-silent test "$size" = "$(stat -c %s com1)"
ctl cont >/dev/null
wait "$machine"
check powerdown-status test $? = 0
check powerdown-by-the-button grep -q 'TEST button' com1
check powerdown-cause grep -q '"cause": "poweroff"' result
wait
check powerdown-events diff - events <<<'READY
STOP
POWERDOWN
RESUME
SHUTDOWN guest-shutdown'

((!failed)) || { echo "--- com1, events, said, pty"; tail -n 20 com1 events said pty.out; } | sed 's/^/    /'
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
