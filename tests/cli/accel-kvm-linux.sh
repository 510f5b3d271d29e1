# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# An explicit -accel kvm boots no Linux where the probe finds KVM unfit, and does not give way either.
[[ -r /dev/kvm && -w /dev/kvm ]] || skip "no /dev/kvm"
! grep -qwE 'svm|vmx' /proc/cpuinfo || skip "this KVM has hardware behind it"
printf '.globl _start\n_start: hlt\njmp _start\n' |
    "${CC:-cc}" -nostdlib -static -no-pie -Wl,-Ttext=0x1000000,--build-id=none -x assembler - -o kernel 2>/dev/null || skip "no compiler"
for accel in kvm kvm:none kvm,probe=off; do
    echo "-accel $accel"
    timeout 10 "$BIN" -accel "$accel" -serial null -timeout 1 -kernel kernel 2>&1 </dev/null | sed 's/here: .*; use/here: REASON; use/'
    echo "[exit ${PIPESTATUS[0]}]"
done
