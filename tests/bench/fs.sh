#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/fs.sh [ROUNDS]
#
# Shared directories beside QEMU's: the stock kernel and one guest program (tests/bench/fs-guest.c) on minivmm -accel interp -share, and on
# QEMU -accel tcg with its virtiofsd (a daemon; guest RAM in shared memory), in turns, each cache=auto, one vCPU, 512 MiB. Host CPU time a
# unit (a file; a MiB), medians of ROUNDS (default 3): of everything, and of everything but the thread that runs the guest, which is what
# device and server cost whatever the engine. The row `cpu` does no file work: it says how fast each engine runs the guest itself.
# Files lie in memory (/dev/shm), so no disk is measured.
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
rounds=${1:-3}
virtiofsd=${VIRTIOFSD:-/usr/lib/qemu/virtiofsd}

gcc -O2 -static -o "$work/init" tests/bench/fs-guest.c tests/bench/rows.c
guest-images/linux/mkinitramfs "$out/fs.cpio" --modules virtio_pci,virtiofs --init "$work/init"
[[ -x $virtiofsd ]] || { echo "fs.sh: no $virtiofsd (qemu-system-common): minivmm alone"; virtiofsd=; }

start_minivmm() {
    "$vmm" -accel interp -m 512 -kernel "$kernel" -initrd "$out/fs.cpio" -append 'console=ttyS0 quiet' -share "$work/run/share" \
        -timeout 600 >"$work/pipe" 2>"$work/err" </dev/null &
    watch_cpu $!
}

start_qemu() {
    "$virtiofsd" --socket-path="$work/run/socket" -o source="$work/run/share" -o cache=auto -o sandbox=chroot >"$work/daemon" 2>&1 &
    local daemon=$!
    until [[ -S $work/run/socket ]]; do sleep 0.1; done
    qemu-system-x86_64 -name bench,debug-threads=on -accel tcg -M pc -nodefaults -display none -serial stdio -no-reboot -m 512 -kernel "$kernel" \
        -initrd "$out/fs.cpio" -append 'console=ttyS0 quiet' -object memory-backend-memfd,id=m,size=512M,share=on -numa node,memdev=m \
        -chardev socket,id=c,path="$work/run/socket" -device vhost-user-fs-pci,chardev=c,tag=share >"$work/pipe" 2>"$work/err" </dev/null &
    watch_cpu $! "$daemon"
}

run() { # NAME FILE-FOR-ROWS
    rm -rf "$work/run"
    mkdir -p "$work/run/share"
    "start_$1"
    read_rows "$1" "$2"
    kill "${pids[@]}" 2>/dev/null || true
    wait || true
}

: >"$work/ours"
: >"$work/theirs"
for ((i = 0; i < rounds; i++)); do
    run minivmm "$work/ours"
    [[ -z $virtiofsd ]] || run qemu "$work/theirs"
done
echo "microseconds of host CPU time a unit, medians of $rounds: all"
table "$work/ours" "$work/theirs" 4 1
echo "... without the thread that runs the guest"
table "$work/ours" "$work/theirs" 5 1
