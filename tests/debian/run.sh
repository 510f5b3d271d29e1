#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/debian/run.sh MINIVMM [TOPIC...]        (make check-debian; not part of make check: it fetches 100 MB and needs root)
#
# Debian 12 with systemd as users boot it, from a whole disk and from a GPT partition, with Debian's initramfs and with none: it comes up
# without a failed unit or a warning, finds its network, disk, CPUs, memory, entropy, share and socket, and goes down when it says so,
# by reboot, and by the power button; afterwards its file system is clean. Topics named interp-* run on that engine, those named kvm-*
# on the host's hardware KVM or in the nested testbed. What the guest does is in guest.sh, its disks are made by mkimages.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
minivmm=$(realpath "$1")
shift
passed=0 failed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

topics=({interp,kvm}-{initrd,bare,gpt,button,reboot})
((!$#)) || topics=("$@")

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    ((failed == 0))
    exit
}

skip() {
    echo "SKIP debian/$1: $2"
    skipped=$((skipped + 1))
}

PATH=$PATH:/usr/sbin:/sbin
dir=$("$here/mkimages" 2>"$work/why") || why=$(tail -n 1 "$work/why")
for tool in e2fsck busybox; do command -v $tool >/dev/null || why="no $tool here"; done
if [[ ${why-} ]]; then
    for topic in "${topics[@]}"; do skip "$topic" "$why"; done
    finish
fi

no_kvm=''
has_hardware_kvm() {
    [[ -r /dev/kvm && -w /dev/kvm ]] && grep -qwE 'svm|vmx' /proc/cpuinfo
}

has_hardware_kvm || command -v qemu-system-x86_64 >/dev/null || no_kvm='no hardware KVM and no qemu-system-x86_64 for the nested testbed'

# Warnings that this system has in any virtual machine, in QEMU's too.
harmless='CONFIG_IMA_DISABLE_HTABLE is disabled'
harmless+='|tsc: Unable to calibrate against PIT$|clocksource: Long readout interval' # a busy host
# The testbed's processor has no invariant TSC (there is kvm-clock), and no microcode.
has_hardware_kvm || harmless_in_testbed='|Speculative Return Stack Overflow: |tsc: Marking TSC unstable due to TSCs unsynchronized$'

# Sets disk, words, options and what is expected.
describe() {
    disk=whole cpus=1 memory=480 boots=1 root='/dev/vda ext4' words='' end=poweroff cid=''
    options=(-initrd "$dir/initrd.img" -m 512)
    case $1 in
    initrd) words='root=/dev/vda' ;;
    bare) words='root=LABEL=debian' options=(-m 512) ;;
    gpt)
        # The testbed has two processors, emulated ones.
        disk=gpt root='/dev/vda2 ext4' cpus=4 memory=960 cid=7 words='root=PARTLABEL=the-root rw'
        [[ $engine != kvm ]] || has_hardware_kvm || cpus=2
        options=(-smp "$cpus" -m 1G -device virtio-rng-pci -share "$work/share" -vsock "$work/vsock,cid=7")
        ;;
    button) words='root=/dev/vda' end='wait' options+=(-smp 2) cpus=2 ;;
    reboot) words='root=/dev/vda' end=reboot boots=2 ;;
    *)
        wrong "no such topic"
        ;;
    esac
    words+=" test.port=18080 test.end=$end"
    [[ ! $cid ]] || words+=' test.share=1 test.vsock=1'
}

wrong() {
    problem+="$*; "
}

says() {
    grep -qxE -- "TEST $1" "$work/out" || wrong "no line 'TEST $1'"
}

judge() {
    local boot but=$harmless
    for ((boot = 1; boot <= boots; boot++)); do says "boot $boot"; done
    [[ $(grep -cx 'TEST state running' "$work/out") == "$boots" ]] || wrong 'not running: a unit failed'
    [[ $(grep -cx 'TEST done' "$work/out") == "$boots" ]] || wrong 'not done'
    says "cpus $cpus"
    says "root $root"
    says 'address 10\.0\.2\.15/24'
    says 'route 10\.0\.2\.2'
    says "fetched $sum"
    (($(sed -n 's/^TEST memory //p' "$work/out" | head -n 1) + 60 >= memory)) || wrong 'too little memory'
    if [[ $cid ]]; then
        says "cid $cid"
        says 'rng virtio_rng.0 64'
        says "share $sum"
        says back
    fi
    [[ $engine != kvm ]] || but+=${harmless_in_testbed-}
    grep -E '^TEST (failed|fail|journal|dmesg)' "$work/out" | grep -vE "$but" >"$work/complaints" &&
        wrong "complaints: $(head -n 5 "$work/complaints")"
}

# The file system is clean, and was unmounted.
check_disk() {
    local fs=$work/disk.img
    if [[ $disk == gpt ]]; then
        dd if="$work/disk.img" of="$work/part.img" bs=1M iflag=skip_bytes skip=$(((2048 + 8 * 2048) * 512)) conv=sparse status=none
        truncate -s 900M "$work/part.img"
        fs=$work/part.img
    fi
    e2fsck -fn "$fs" >"$work/fsck" 2>&1 || wrong "e2fsck: $(tail -n 3 "$work/fsck")"
    dumpe2fs -h "$fs" 2>/dev/null | grep -q 'needs_recovery' && wrong 'the file system was not unmounted'
}

run() {
    local engine=$1 program=(sh "$here/session.sh" "$minivmm" "$words" -accel "$1" -kernel "$dir/vmlinuz" -timeout 500 "${options[@]}")
    local file in_testbed=()
    local files=("$minivmm" "$here/session.sh" "$work/www" "$work/share" "$dir/vmlinuz" "$dir/initrd.img" "$top/build/minivmm-usernet")
    if [[ $engine != kvm ]] || has_hardware_kvm; then
        "${program[@]}" -disk "$work/disk.img"
        return
    fi
    # Its processor does not tell KVM of XSETBV, so that CPUID has the wrong size for XSAVE.
    program[3]+=' noxsave'
    [[ ${options[0]} == -initrd ]] || files+=("$dir/modules")
    for file in "${files[@]}"; do in_testbed+=(--file "$file"); done
    "$top/tests/testbed/testbed" --timeout 700 "${in_testbed[@]}" --disk "$work/disk.img" -- "${program[@]}" -disk /dev/vda
}

for topic in "${topics[@]}"; do
    engine=${topic%%-*} problem='' status=0
    if [[ $engine == kvm && $no_kvm ]]; then
        skip "$topic" "$no_kvm"
        continue
    fi
    describe "${topic#*-}"
    rm -rf "$work"/{share,www,out.raw}
    mkdir -p "$work/share" "$work/www"
    head -c 3M /dev/urandom | tee "$work/www/file" >"$work/share/there"
    sum=$(sha256sum <"$work/www/file" | cut -d ' ' -f 1)
    cp --sparse=always "$dir/$disk.img" "$work/disk.img"
    run "$engine" >"$work/out.raw" 2>&1 || status=$?
    tr -d '\r' <"$work/out.raw" >"$work/out"
    ((status == 0)) || wrong "exit status $status"
    judge
    check_disk
    if [[ -z $problem ]]; then
        passed=$((passed + 1))
        echo "ok   debian/$topic"
    else
        failed=$((failed + 1))
        printf 'FAIL debian/%s: %s\n' "$topic" "$problem"
        tail -n 25 "$work/out" | sed 's/^/    /'
    fi
    [[ -z ${KEEP-} ]] || cp "$work/out" "$KEEP/$topic.out"
done
finish
