#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/icount/run.sh MINIVMM [TOPIC]...
#
# Counted time (-icount): every topic runs twice, side by side, and both runs must be the same: what the guest wrote, the count of instructions,
# guest time, and the digest of RAM and registers at the end (-d icount). The second run is stopped and continued by signals meanwhile.
#   guest-NAME   a small guest of guest-images/small; @N: -icount N
#   pipe         output to a slow reader, compared with output to a file
#   boot-N       the stock kernel with N CPUs and a disk, to a script that looks at clocks, random numbers and interrupts, and writes
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "$1")
shift
images=$top/build/guest-images
export LC_ALL=C

topics=(guest-pit_long@3 guest-apic_long@0 guest-rtc_long@0 guest-kvmclock_long@2 guest-clock_real@4 guest-tsc_deadline_long@2 guest-smc_long@0 guest-smp_long@0
    guest-smp_restart@5 guest-smp_long@10 guest-blk_msix@0 seed pipe boot-1 boot-2)
((!$#)) || topics=("$@")

# RUN ARGS...: minivmm in $work/RUN, its console in out, the rest in err, its status in status. Run 2 is on a host that takes the CPU away now
# and then.
run() {
    local dir=$work/$1 number=$1 pid patience=0
    shift
    cd "$dir" || exit
    "$minivmm" -accel interp -d icount -timeout 100 "$@" >out 2>err </dev/null &
    pid=$!
    while ((number == 2 && patience++ < 1000)) && kill -STOP $pid 2>/dev/null; do
        sleep 0.01
        kill -CONT $pid 2>/dev/null
        sleep 0.1
    done
    wait $pid
    echo $? >status
}

# STATUS ARGS...: two runs; what differs between them, or what else is wrong.
twice() {
    local wanted=$1 n pid
    shift
    (run 1 "$@") &
    pid=$!
    (run 2 "$@")
    wait $pid
    for n in 1 2; do
        [[ $(cat "$work/$n/status") == "$wanted" ]] || { echo "exit status $(cat "$work/$n/status")"; cat "$work/$n/err"; }
    done
    grep -q '^icount: [1-9]' "$work/1/err" || { echo 'no line of -d icount:'; cat "$work/1/err"; }
    diff "$work/1/out" "$work/2/out" | head -n 10
    diff "$work/1/err" "$work/2/err" | head -n 10
}

fresh() {
    rm -rf "$work"/[12]
    mkdir "$work/1" "$work/2"
}

run_guest() {
    local name=${topic#guest-} shift=${topic##*@} image args=() n
    name=${name%@*}
    image=$name
    if [[ -f $top/guest-images/small/$name.args ]]; then
        image=$(sed -n 's/^# image: *//p' "$top/guest-images/small/$name.args")
        eval "args=($(grep -v '^#' "$top/guest-images/small/$name.args" | sed 's|{tmp}|.|g' | tr '\n' ' '))"
    fi
    if [[ -f $top/guest-images/small/$name.sh ]]; then
        for n in 1 2; do (cd "$work/$n" && sh "$top/guest-images/small/$name.sh" setup); done
    fi
    twice 33 -icount "$shift" -kernel "$images/${image:-$name}.img" -device isa-debug-exit,iobase=0xf4,iosize=4 "${args[@]}"
    diff "$top/guest-images/small/$name.want" "$work/1/out"
}

# A real-mode program that writes a random number to the first serial port: equal for equal seeds, else not.
run_seed() {
    local said=() seed
    { printf '\x0f\xc7\xf0\xba\xf8\x03\xee\x88\xe0\xee\xb0\x10\xe6\xf4\xf4'; head -c 495 /dev/zero; printf '\x55\xaa'; } >"$work/kernel"
    for seed in 7 7 8; do
        said+=("$("$minivmm" -accel interp -icount 0,seed=$seed -timeout 20 -kernel "$work/kernel" \
            -device isa-debug-exit,iobase=0xf4,iosize=4 </dev/null | od -An -tx1)")
    done
    [[ -n ${said[0]} && ${said[0]} == "${said[1]}" && ${said[0]} != "${said[2]}" ]] || echo "seeds 7, 7, 8 gave ${said[*]}"
}

# A guest that writes more than a pipe and our buffer hold, as fast as it can.
run_pipe() {
    local args=(-accel interp -icount 0 -d icount -timeout 60 -kernel "$work/kernel" -device isa-debug-exit,iobase=0xf4,iosize=4)
    # mov $0x3f8, %dx; mov $200000, %ecx; loop: mov %cl, %al; out %al, %dx; dec %ecx; jnz loop; mov $0x10, %al; out %al, $0xf4
    { printf '\xba\xf8\x03\x66\xb9\x40\x0d\x03\x00\x88\xc8\xee\x66\x49\x75\xf9\xb0\x10\xe6\xf4\xf4'; head -c 489 /dev/zero
      printf '\x55\xaa'; } >"$work/kernel"
    "$minivmm" "${args[@]}" >"$work/1/out" 2>"$work/1/err" </dev/null
    "$minivmm" "${args[@]}" 2>"$work/2/err" </dev/null | (sleep 0.5; cat) >"$work/2/out"
    [[ $(wc -c <"$work/1/out") == 200000 ]] || echo "$(wc -c <"$work/1/out") bytes, not 200000"
    cmp "$work/1/out" "$work/2/out"
    diff "$work/1/err" "$work/2/err"
}

run_boot() {
    local n cpus=${topic#boot-}
    for n in 1 2; do cp "$work/disk.img" "$work/$n/disk"; done
    twice 0 -icount 0 -kernel "$kernel" -initrd "$work/initrd.cpio" -append console=ttyS0 -m 256 -smp "$cpus" -disk disk
    tr -d '\r' <"$work/1/out" >"$work/text"
    grep -qx "TEST cpus $cpus" "$work/text" || echo "no $cpus CPUs"
    grep -qE '^TEST date 2024-01-01 00:0[01] ' "$work/text" || echo 'not the date at which counted time starts'
    grep -qx 'TEST done' "$work/text" || { echo 'the guest did not come to its end:'; tail -n 20 "$work/text"; }
    cmp "$work/1/disk" "$work/2/disk"
}

# The kernel, its init and a disk: $kernel, or why not.
prepare_boot() {
    [[ -z ${kernel-} ]] || return 0
    command -v mke2fs >/dev/null || PATH=$PATH:/usr/sbin:/sbin
    find_kernel || return
    kernel=$kernel_dir/vmlinuz
    mkdir "$work/files"
    echo 'read by the guest' >"$work/files/README"
    "$top/guest-images/linux/mkinitramfs" "$work/initrd.cpio" --init "$here/guest-init.sh" &&
        "$top/guest-images/linux/mkdisk" "$work/disk.img" 16M "$work/files" >"$work/why" 2>&1
}

for topic in "${topics[@]}"; do
    fresh
    case $topic in
    guest-*) wrong=$(run_guest 2>&1) ;;
    boot-*)
        if ! prepare_boot; then
            skip "$topic" "$no_kernel"
            continue
        fi
        wrong=$(run_boot 2>&1)
        ;;
    *) wrong=$("run_$topic" 2>&1) ;;
    esac
    judge "$topic" "$wrong"
done
finish
