#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/bench/run.sh [software|kvm]... [--rounds N]
#
# A job in a machine of its own, from exec of the VMM to its end: `minivmm run -- true` beside the least that a virtual machine can do, the
# same kernel with an init that powers off at once, alone in the initramfs, on minivmm and on QEMU. One vCPU, 1 GiB and the kernel
# parameters of minivmm run for all. Rows:
#   run          minivmm run: makes its initramfs, inserts modules for virtio-pci, console, virtiofs and overlay, mounts this root directory
#                underneath an overlay, connects the three streams, runs the command and passes its status on
#   bare         minivmm -kernel, an init that powers off at once
#   qemu-bare    QEMU -M pc, the same
#   qemu-modules QEMU -M pc, an init (busybox) that inserts the modules that minivmm run inserts, and powers off
#   software   -accel interp beside -accel tcg, in turns: wall and CPU seconds of all processes, medians of N rounds (default 5)
#   kvm        in the testbed: instructions of the whole machine from exec of the VMM to its end
# shellcheck source=tests/bench/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
read_words 5 "$@"
linux=$top/build/linux
append="console=ttyS0 panic=-1 cryptomgr.notests=1 quiet loglevel=4" # as minivmm run has it
rows=(run bare)
if command -v qemu-system-x86_64 >/dev/null; then rows+=(qemu-bare qemu-modules); fi

mkdir "$work/stage"
printf '#include <sys/reboot.h>\nint main(void) { return reboot(RB_POWER_OFF); }\n' | gcc -O2 -static -x c -o "$work/stage/init" -
guest-images/linux/pack-cpio "$work/stage" >"$out/run-bare.cpio"
cat >"$work/init" <<'INIT'
#!/bin/sh
PATH=/bin
while read -r module; do insmod "$module"; done </lib/minivmm/modules
true && poweroff -f
INIT
modules=(virtio_pci virtio_console virtiofs overlay)
guest-images/linux/mkinitramfs "$out/run-modules.cpio" --modules "$(IFS=, && echo "${modules[*]}")" --init "$work/init"
mapfile -t module_files < <(guest-images/linux/module-order "$linux/modules" "${modules[@]}")

row_command() { # ROW SOFTWARE-OR-KVM
    local engine=kvm qemu=(qemu-system-x86_64 -M pc -nodefaults -display none -serial stdio -no-reboot)
    local machine=(-m 1024 -kernel "$kernel" -append "$append")
    if [[ $2 == kvm ]]; then qemu+=(-accel kvm -cpu host); else engine=interp qemu+=(-accel tcg); fi
    case $1 in
    run) command=("$vmm" run --accel "$engine" --kernel "$kernel" --modules "$linux/modules" --timeout 300 -- true) ;;
    bare) command=("$vmm" -accel "$engine" "${machine[@]}" -initrd "$out/run-bare.cpio" -no-reboot -nic none -timeout 300) ;;
    qemu-bare) command=("${qemu[@]}" "${machine[@]}" -initrd "$out/run-bare.cpio") ;;
    qemu-modules) command=("${qemu[@]}" "${machine[@]}" -initrd "$out/run-modules.cpio") ;;
    esac
}

check_status() { # ROW STATUS
    (($2 == 0)) || die "$1 ended with status $2: $(tail -n 2 "$work/log")"
}

median() { # FILE COLUMN
    awk -v c="$2" "$awk_median"'{all = all " " $c} END {print median(all)}' "$1"
}

software() {
    local i row status
    for ((i = 0; i < rounds; i++)); do
        for row in "${rows[@]}"; do
            row_command "$row" software
            status=0
            { TIMEFORMAT='%R %U %S'; time "${command[@]}" >"$work/log" 2>&1 </dev/null || status=$?; } 2>"$work/time"
            check_status "$row" "$status"
            awk '{print $1, $2 + $3}' "$work/time" >>"$work/$row.times"
        done
    done
    echo "interp beside tcg: medians of $rounds"
    printf '%-14s %10s %10s\n' row 'wall s' 'CPU s'
    for row in "${rows[@]}"; do
        printf '%-14s %10.2f %10.2f\n' "$row" "$(median "$work/$row.times" 1)" "$(median "$work/$row.times" 2)"
    done
}

kvm() {
    local row status file files
    tests/testbed/testbed --prepare
    echo "both on KVM in the testbed: millions of instructions of the whole machine"
    printf '%-14s %10s\n' row instructions
    for row in "${rows[@]}"; do
        row_command "$row" kvm
        files=(--file "$kernel")
        case $row in
        run) for file in "${module_files[@]}" "$linux"/modules/modules.*; do files+=(--file "$file"); done ;;
        bare) files+=(--file "$out/run-bare.cpio") ;;
        qemu*) files+=(--file "$out/run-${row#qemu-}.cpio" --file /usr/share/seabios --file /usr/share/qemu) ;;
        esac
        status=0
        tests/testbed/testbed "${files[@]}" --icount-report "$work/icount" --timeout 400 -- "${command[@]}" >"$work/log" 2>&1 </dev/null || status=$?
        check_status "$row" "$status"
        printf '%-14s %10.0f\n' "$row" "$(awk '/instructions/ {print $NF / 1e6; exit}' "$work/icount")"
    done
}

for mode in "${modes[@]}"; do
    "$mode"
done
