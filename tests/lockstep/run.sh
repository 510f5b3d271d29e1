#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Small guests under engine lockstep, by tests/guest/run.sh: GUEST@lockstep=interp,interp everywhere, GUEST@lockstep=interp,kvm where KVM works;
# and that most instructions are compared indeed. With hardware virtualization more guests run: a KVM without it is wrong on
# instructions that they use.
# Usage: tests/lockstep/run.sh [--testbed] BINARY        --testbed: all of it inside tests/testbed, where KVM has hardware
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
testbed=()
if [[ ${1-} == --testbed ]]; then
    testbed=(--testbed)
    shift
fi
bin=$(realpath "${1:?usage: tests/lockstep/run.sh [--testbed] BINARY}")
image=$top/build/guest-images/hello_long.img

# The guests of one pair; what they report is passed on, but for the sum.
guests() {
    local engine=$1
    shift
    GUEST_TIMEOUT=30 "$top/tests/guest/run.sh" "${testbed[@]}" --engine "$engine" "$bin" "$@" >"$work/out"
    grep -v '^[0-9]* passed, ' "$work/out"
    passed=$((passed + $(grep -c '^PASS' "$work/out")))
    failed=$((failed + $(grep -c '^FAIL' "$work/out")))
    skipped=$((skipped + $(grep -c '^SKIP' "$work/out")))
}

skip_guests() {
    local reason=$1
    shift
    for guest; do
        printf 'SKIP guest/%s@lockstep=interp,kvm: %s\n' "$guest" "$reason"
        skipped=$((skipped + 1))
    done
}

# A guest that passes because nothing was compared would be no test.
compares() {
    local follower=$1 all compared
    "$bin" -accel "lockstep=interp,$follower" -d accel -D "$work/log" -kernel "$image" -serial null -timeout 30 \
        -device isa-debug-exit,iobase=0xf4,iosize=4 </dev/null >/dev/null 2>&1
    all=$(sed -n 's/.*lockstep: \([0-9]*\) instructions.*/\1/p' "$work/log")
    compared=$(sed -n 's/.*instructions; \([0-9]*\) compared.*/\1/p' "$work/log")
    if ((${all:-0} > 10000 && ${compared:-0} * 10 > all * 9)); then
        pass "compares@$follower"
    else
        fail "compares@$follower" "${compared:-none} of ${all:-none} instructions"
    fi
}

simple=(hello_real hello_protected hello_long triple_long)
hardware=(smc_long serial_long)

if ((${#testbed[@]} == 0)); then
    guests lockstep=interp,interp "${simple[@]}" "${hardware[@]}" triple_protected pci_protected reset_cf9 apic_long \
        serial_protected restart blk_intx blk_mmio
    guests lockstep=interp,interp,every=50 hello_long smc_long
    compares interp
fi
no_kvm=$("$bin" -accel lockstep=interp,kvm -serial null -kernel "$image" -timeout 20 \
    -device isa-debug-exit,iobase=0xf4,iosize=4 </dev/null 2>&1 | grep -m 1 'does not work here')
if ((${#testbed[@]})); then
    guests lockstep=interp,kvm "${simple[@]}" serial_long # smc_long takes minutes on an emulated processor
elif [[ $no_kvm ]]; then
    skip_guests "$no_kvm" "${simple[@]}" "${hardware[@]}"
else
    guests lockstep=interp,kvm "${simple[@]}"
    compares kvm
    if grep -qwE 'svm|vmx' /proc/cpuinfo; then
        guests lockstep=interp,kvm "${hardware[@]}"
    else
        skip_guests "the guest uses what this KVM does wrong (no svm or vmx in /proc/cpuinfo)" "${hardware[@]}"
    fi
fi
finish
