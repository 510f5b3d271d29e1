#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/vsock/run.sh MINIVMM
#
# Virtio sockets and the balloon under a stock kernel and the interpreter, in one boot: a MiB each way over a connection that the
# host begins and over one that the guest begins, with sums; connections to nobody; and memory that the guest frees and that the host sees
# come back.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "$1")
vm=

has_said() {
    tr -d '\r' <"$work/console" | grep -q "^TEST $1"
}

said_or_over() {
    has_said "$1" || ! kill -0 "$vm"
}

# Wait until the guest has said a line.
said() {
    await 60 said_or_over "$1" && has_said "$1"
}

# The resident memory of the machine, in KiB.
rss() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$vm/status"
}

# What one end got is what the other end sent, and all of it.
same() {
    local a b
    read -r -a a <<<"$(grep -o 'got .*' <<<"$1")"
    read -r -a b <<<"$(grep -o 'got .*' <<<"$2")"
    [[ ${a[1]} = 1048576 && ${b[1]} = 1048576 && ${a[2]} = "${b[4]}" && ${b[2]} = "${a[4]}" && ${a[2]} != "${b[2]}" ]]
}

find_kernel || skip_all "$no_kernel" all
gcc -static -O1 -o "$work/stream" "$here/stream.c" 2>"$work/why" || skip_all "no static C program: $(tail -n 1 "$work/why")" all
"$top/guest-images/linux/mkinitramfs" "$work/initrd" --modules virtio_pci,virtio_balloon,vmw_vsock_virtio_transport --init "$here/guest.sh" \
    --file "$work/stream:/bin/stream" || exit 1

: >"$work/console"
"$minivmm" -accel interp -kernel "$kernel_dir/vmlinuz" -initrd "$work/initrd" -append 'console=ttyS0 quiet' -m 256 -timeout 120 -nic none \
    -serial "file:$work/console" -vsock "$work/v" -device virtio-balloon-pci </dev/null >"$work/err" 2>&1 &
vm=$!
timeout 60 "$work/stream" unix-listen "$work/v_77" 4 1048576 >"$work/host-listens" &
said listening
check socket-mode test "$(stat -c %a "$work/v")" = 600
check host-to-nobody test "$(timeout 20 "$work/stream" unix-connect "$work/v" 4321)" = refused
timeout 60 "$work/stream" unix-connect "$work/v" 1234 2 1048576 >"$work/host-connects"
said elsewhere
console=$(tr -d '\r' <"$work/console")
check host-begins same "$(cat "$work/host-connects")" "$(grep '^TEST accepted' <<<"$console")"
check guest-begins same "$(cat "$work/host-listens")" "$(grep '^TEST connected' <<<"$console")"
check guest-to-nobody grep -q '^TEST nobody connect: Connection reset by peer' <<<"$console"
check guest-elsewhere grep -q '^TEST elsewhere connect: ' <<<"$console"
said full
full=$(rss)
said freed
freed=$(rss)
check memory-comes-back test $((full - freed)) -gt $((64 * 1024))
said done
wait "$vm"
check status test $? = 0
vm=
check name-removed test ! -e "$work/v"
((!failed)) || { echo "    RSS: full ${full-} KiB, freed ${freed-} KiB"; show "$work/console" "$work/err" "$work"/host-*; }
finish
