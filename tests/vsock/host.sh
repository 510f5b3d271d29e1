#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Usage: host.sh PART TOPIC MINIVMM ENGINE KERNEL INITRD STREAM
#
# One machine and the host programs beside it, in an empty folder; see run.sh for what is seen. Says "ok" or "FAIL" for each, and what the machine
# said after a failure. Only a POSIX shell and busybox are there in the testbed.
part=$1 topic=$2 minivmm=$3 engine=$4 kernel=$5 initrd=$6 stream=$7
failed=0 vm=''

check() {
    name=$1
    shift
    if "$@"; then
        echo "ok   vsock/$topic-$name"
    else
        failed=$((failed + 1))
        echo "FAIL vsock/$topic-$name"
    fi
}

# COMMAND...: until it succeeds, or the machine has ended; 90 s at most, or $SLOW times as many.
await() {
    i=0
    until "$@"; do
        [ $i -lt $((900 * ${SLOW:-1})) ] && kill -0 "$vm" 2>/dev/null || return 1
        sleep 0.1
        i=$((i + 1))
    done
}

# As check, of the machine's memory: not where SLOW tells of a sanitizer, which has much memory beside the guest's.
resident() {
    [ "${SLOW:-1}" != 1 ] || check "$@"
}

has_said() {
    tr -d '\r' <console | grep -q "^TEST $1"
}

# Wait until the guest has said a line.
said() {
    await has_said "$1"
}

line() {
    tr -d '\r' <console | grep "^TEST $1 "
}

# The resident memory of the machine, in KiB.
rss() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$vm/status"
}

# The host has 64 MiB back.
has_back() {
    freed=$(rss)
    [ $((full - freed)) -gt $((64 * 1024)) ]
}

# BYTES ONE OTHER: what one end got is what the other end sent, and all of it.
same() {
    bytes=$1
    # shellcheck disable=SC2046
    set -- $(echo "$2" | grep -o 'got .*') $(echo "$3" | grep -o 'got .*')
    [ "$2" = "$bytes" ] && [ "$7" = "$bytes" ] && [ "$3" = "${10}" ] && [ "$8" = "$5" ] && [ "$3" != "$8" ]
}

start() {
    : >console
    "$minivmm" -accel "$engine" -kernel "$kernel" -initrd "$initrd" -append "console=ttyS0 quiet part=$part" -m 256 -timeout $((150 * ${SLOW:-1})) -nic none \
        -serial file:console -qmp unix:qmp "$@" </dev/null >err 2>&1 &
    vm=$!
}

# --- virtio sockets, and freed memory ---

first_life() {
    said listening
    check socket-mode test "$(stat -c %a v)" = 600
    timeout $((100 * ${SLOW:-1})) "$stream" unix-listen v_79 5 1024 >again &
    check host-to-nobody test "$(timeout $((20 * ${SLOW:-1})) "$stream" unix-connect v 4321)" = refused
    timeout $((60 * ${SLOW:-1})) "$stream" unix-connect v 1234 2 1048576 >host-connects
    said elsewhere
    check host-begins same 1048576 "$(cat host-connects)" "$(line accepted)"
    check guest-begins same 1048576 "$(cat host-listens)" "$(line connected)"
    check guest-to-nobody test "$(line nobody)" = 'TEST nobody connect: Connection reset by peer'
    check guest-elsewhere test "$(line elsewhere)"
    said full
    full=$(rss)
    resident memory-comes-back await has_back # the guest tells of it some seconds later
}

# Connections in both directions that only the reset ends.
reboot() {
    said holding
    timeout $((60 * ${SLOW:-1})) "$stream" unix-connect v 1235 0 hold >held &
    held=$!
    said reboots
    wait $holds $held
    check reset-ends-the-guests-connection grep -q '^ended' holds
    check reset-ends-the-hosts-connection grep -q '^ended' held
    check no-end-before-the-reset grep -q '^holding' held
    said 'second life'
    timeout $((60 * ${SLOW:-1})) "$stream" unix-connect v 1234 2 65536 >connects-again
    said accepted-again
    check after-the-reset same 65536 "$(cat connects-again)" "$(line accepted-again)"
}

vsock() {
    timeout $((100 * ${SLOW:-1})) "$stream" unix-listen v_77 4 1048576 >host-listens &
    timeout $((150 * ${SLOW:-1})) "$stream" unix-listen v_80 0 hold >holds &
    holds=$!
    start -vsock v -device virtio-balloon-pci
    first_life
    reboot
    wait "$vm"
    check status test $? = 0
    check name-removed test ! -e v
}

# --- the balloon ---

ctl() {
    "$minivmm" ctl qmp "$@" 2>&1
}

guest_has() {
    ctl query-balloon | grep -q "\"actual\": $1\$"
}

# MIB: leave the guest so much, and wait until that is so.
leave_guest() {
    ctl balloon value=$(($1 << 20)) >/dev/null
    await guest_has $(($1 << 20))
}

balloon() {
    start -device virtio-balloon-pci,free-page-reporting=off
    said freed
    full=$(rss)
    check target-is-reached leave_guest 96
    resident memory-comes-back await has_back
    check target-is-taken-back leave_guest 256
    ctl quit >/dev/null
    wait "$vm"
    check status test $? = 0
}

case $part in
vsock) vsock ;;
balloon) balloon ;;
esac
if [ $failed != 0 ]; then
    echo "RSS: full $full KiB, freed $freed KiB"
    for file in console err hold* held again *connects* host-listens; do
        echo "--- $file"
        tail -n 25 "$file"
    done
fi | sed 's/^/    /'
exit $failed
