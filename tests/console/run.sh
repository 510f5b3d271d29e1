#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/console/run.sh MINIVMM [TOPIC...]
#
# The virtio console under a stock kernel and the interpreter: a mebibyte into the guest through one channel, which ends, and back
# through another; the same over the terminal hvc0. All of it must come back as it went.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "$1")
shift
topics=(pci mmio)
declare -A bus=([pci]=virtio-serial-pci [mmio]=virtio-serial-device)
((!$#)) || topics=("$@")

find_kernel || skip_all "$no_kernel" "${topics[@]}"
"$top/guest-images/linux/mkinitramfs" "$work/initrd.cpio" --modules virtio_pci,virtio_mmio,virtio_console --init "$here/guest.sh" || exit 1
head -c 1048576 /dev/urandom >"$work/in"
head -c 1048576 /dev/urandom >"$work/hvc.in"
sum() { md5sum <"$1" | cut -d' ' -f1; }

# What is typed on hvc0, once its modes are set.
type_when_ready() {
    await 120 grep -q '^TEST hvc0 ready' "$work/out" || return
    cat "$work/hvc.in" >"$work/typed"
}

run() {
    : >"$work/out"
    rm -f "$work/typed"
    mkfifo "$work/typed"
    type_when_ready &
    local typist=$!
    "$minivmm" -accel interp -kernel "$kernel_dir/vmlinuz" -initrd "$work/initrd.cpio" -append 'console=ttyS0 quiet' -m 256 \
        -timeout $((120 * SLOW)) -serial file:"$work/out" -device "${bus[$topic]}" \
        -chardev fd,id=in,in=3 -device virtserialport,chardev=in,name=org.test.in \
        -chardev fd,id=out,out=4 -device virtserialport,chardev=out,name=org.test.out \
        -chardev fd,id=hvc,in=5,out=6 -device virtconsole,chardev=hvc \
        3<"$work/in" 4>"$work/back" 5<>"$work/typed" 6>"$work/hvc.back" >"$work/err" 2>&1 </dev/null
    local status=$?
    kill "$typist" 2>/dev/null
    wait "$typist" 2>/dev/null
    tr -d '\r' <"$work/out" >"$work/said"
    return $status
}

for topic in "${topics[@]}"; do
    problem=''
    run || problem="exit status $?; "
    grep -q "^TEST in 1048576 $(sum "$work/in")\$" "$work/said" || problem+='the guest got other bytes from its channel; '
    cmp -s "$work/in" "$work/back" || problem+='other bytes came back from the channel; '
    grep -q "^TEST hvc0 1048576 $(sum "$work/hvc.in")\$" "$work/said" || problem+='the guest got other bytes from hvc0; '
    cmp -s "$work/hvc.in" "$work/hvc.back" || problem+='other bytes came back from hvc0; '
    grep -q '^TEST done$' "$work/said" || problem+='not done; '
    ! grep -q '^TEST fail' "$work/said" || problem+=$(grep '^TEST fail' "$work/said" | head -n 3)
    judge "$topic" "$problem" "$work/said" "$work/err"
done
finish
