#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/control/run.sh MINIVMM
#
# A running machine steered from outside, under the interpreter: a stock kernel gives memory up and gets it back, is stopped, goes on, and turns
# itself off when the power button is pressed, with rude clients beside; sessions recorded with QEMU are answered in the same way; the monitor on
# a pipe and behind Ctrl-A c.
# Needs a C compiler and jansson for its client; where the package ganeti-3.0 is installed, its QMP client has a session too.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "$1")
cd "$work" || exit 1

ctl() {
    "$minivmm" ctl qmp "$@"
}

has() { # TEXT COMMAND...: its output has the text
    local text=$1
    shift
    "$@" 2>&1 | grep -qF -- "$text"
}

# The resident memory of $machine, in KiB.
rss() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$machine/status"
}

property() { # qom-get|qom-set NAME [value=VALUE]
    ctl "$1" path=/machine/peripheral/balloon0 property="$2" "${@:3}"
}

# What the guest says is free, in KiB.
guest_free() {
    property qom-get guest-stats | sed -n 's/.*"stat-free-memory": \([0-9]*\).*/\1/p' | awk '{ print int($1 / 1024) }'
}

# SIZE: leave the guest so many MiB, and wait until that is so.
leave_guest() {
    ctl balloon value=$(($1 << 20)) >ctl.out && await 60 has "\"actual\": $(($1 << 20))" ctl query-balloon
}

# What the guest says is free lies between so many KiB.
guest_free_between() {
    local free
    free=$(guest_free)
    ((free > $1 && free < $2))
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
    "$minivmm" -accel interp -kernel loop -nic none -timeout $((60 * SLOW)) -m 16 "$@"
}

start_loop -serial null -name rig -drive file=disk,format=raw,if=none,id=root -device virtio-blk-pci,drive=root -qmp unix:qmp,server=on,wait=off \
    >said 2>&1 </dev/null &
await 60 ctl query-status
check recorded-session ./client replay qmp "$here/qemu-7.2.session"
wait $!
check quit-status test $? = 0
check socket-removed test ! -e qmp

# A client that others made, where it is installed.
start_loop -serial null -drive file=disk,format=raw,if=none,id=root -device virtio-blk-pci,drive=root -device virtio-balloon-pci \
    -qmp unix:qmp >said 2>&1 </dev/null &
await 60 ctl query-status
PYTHONPATH=/usr/share/ganeti/3.0:${PYTHONPATH-} PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$here/ganeti_client.py" qmp >ganeti.out 2>&1
case $? in
77 | 126 | 127)
    skip ganeti-client "the package ganeti-3.0 is not installed: $(tail -n 1 ganeti.out)"
    ctl quit >/dev/null
    ;;
*)
    check ganeti-client test $? = 0
    [[ -s ganeti.out ]] && cat ganeti.out
    ctl quit >/dev/null 2>&1
    ;;
esac
wait

start_loop -serial null -qmp unix:qmp -monitor unix:monitor >said 2>&1 </dev/null &
await 60 ctl query-status
./client events qmp >events &
await 60 grep -q READY events
check reset-while-stopped eval 'ctl stop >ctl.out && ctl system_reset >ctl.out && await 60 grep -q "^RESET host-qmp-system-reset" events && has paused ctl query-status && ctl cont >ctl.out'
check registers-of-a-running-cpu has "RIP 0000000000007c00" ctl human-monitor-command command-line='info registers'
ctl quit >/dev/null
wait
check events-in-order diff - events <<<'READY
STOP
RESET host-qmp-system-reset
RESUME
SHUTDOWN host-qmp-quit'

check monitor-on-a-pipe eval '{ printf "info version\nstop\ninfo status\nquit\n"; sleep 1; } | start_loop -monitor stdio >pipe && grep -q "engine interp" pipe && grep -q "VM status: paused" pipe'
check start-stopped eval '{ printf "info status\ncont\ninfo status\nquit\n"; sleep 1; } | start_loop -S -monitor stdio >pipe && grep -A9 "VM status: prelaunch" pipe | grep -q "VM status: running"'
behind_ctrl_a_c() {
    ./pty_run raw 'send:\x01c' 'expect:minivmm monitor' 'send:info statux\x7fs\x0d' 'expect:VM status: running' 'send:stop\x0d' \
        'send:info status\x0d' 'expect:VM status: paused' 'send:cont\x0d' 'send:\x01c' 'send:not for the monitor\x0d' 'send:\x01c' \
        'expect:minivmm monitor' 'send:quit\x0d' -- "$minivmm" -accel interp -kernel loop -nic none -timeout $((60 * SLOW)) -m 16 >pty.out 2>&1
}
check monitor-behind-ctrl-a-c behind_ctrl_a_c
check guest-keys-stay-the-guests eval '! grep -q "no command .not" pty.out'

# --- a stock kernel ---
find_kernel || skip_all "$no_kernel" powerdown
"$top/guest-images/linux/mkinitramfs" initrd.cpio --modules button,evdev,virtio_pci,virtio_balloon --init "$here/guest.sh" || exit 1
"$minivmm" -accel interp -kernel "$kernel_dir/vmlinuz" -initrd initrd.cpio -append 'console=ttyS0' -nic none -m 256 -smp 2 -timeout $((120 * SLOW)) \
    -drive file=disk,format=raw,if=none,id=root -device virtio-blk-pci,drive=root \
    -device virtio-balloon-pci,id=balloon0,free-page-reporting=off -serial file:com1 -qmp unix:qmp -result result >said 2>&1 </dev/null &
machine=$!
await 60 ctl query-status
./client events qmp >events &
await 60 grep -q READY events
for seed in 1 2; do
    timeout $((30 * SLOW)) ./client rude qmp "$seed" || echo "rude client $seed: $?"
done
check ready await 60 grep -q 'TEST ready /dev/input' com1
full=$(rss)
check recorded-balloon-session ./client replay qmp "$here/qemu-7.2-balloon.session"
leave_guest 96
lean=$(rss)
if ((SLOW > 1)); then
    skip balloon-gives-memory-to-the-host 'a sanitizer, as SLOW tells of, has much memory beside the guest'"'"'s'
else
    check balloon-gives-memory-to-the-host test $((full - lean)) -gt $((64 * 1024))
fi
property qom-set guest-stats-polling-interval value=1 >ctl.out
check statistics-of-the-guest await 60 guest_free_between 4096 $((96 * 1024))
leave_guest 256
check balloon-gives-memory-to-the-guest await 60 guest_free_between $((128 * 1024)) $((256 * 1024))
check balloon-in-the-monitor has 'balloon: actual=256' ctl human-monitor-command command-line='info balloon'
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
check powerdown-events diff - <(grep -v BALLOON_CHANGE events) <<<'READY
STOP
RESUME
STOP
POWERDOWN
RESUME
SHUTDOWN guest-shutdown'

((!failed)) || { echo "    RSS: full ${full-} KiB, lean ${lean-} KiB"; show com1 events said pty.out; }
finish
