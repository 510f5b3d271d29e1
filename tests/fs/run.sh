#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/fs/run.sh MINIVMM [TOPIC]...
#
# The stock Debian cloud kernel on the interpreter, with directories of this machine shared by virtio-fs: what the guest does to them is
# checked in the guest and here. Topics: work (all kinds of operations, two CPUs, changes from the host meanwhile), mmio (the same over
# virtio-mmio), read-only, restart (mounts, drivers and machine begin anew), build (the host's / read-only below a layer in memory, and the host's compiler run in the guest on a project in
# a second share). Skipped, with the reason, without the kernel or a C compiler that links static programs.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "${1:?usage: tests/fs/run.sh MINIVMM [TOPIC]...}")
shift
topics=("$@")
((${#topics[@]})) || topics=(work mmio read-only restart build)

find_kernel || skip_all "$no_kernel" "${topics[@]}"
gcc -static -O1 -o "$work/fs-guest" "$here/guest.c" 2>"$work/why" ||
    skip_all "no static C program: $(tail -n 1 "$work/why")" "${topics[@]}"

# What tar unpacks in the guest: our own sources, a few hundred small files.
(cd "$top" && tar cf "$work/archive.tar" include devices loader)
"$top/guest-images/linux/mkinitramfs" "$work/initrd" --modules virtio_pci,virtio_mmio,virtiofs,overlay --init "$here/guest-init.sh" \
    --file "$work/fs-guest:/bin/fs-guest" --file "$work/archive.tar:/archive.tar" || exit 1

problem=''
# TOPIC-IN-THE-GUEST OPTION...
boot() {
    local topic=$1
    shift
    "$minivmm" -accel interp -kernel "$kernel_dir/vmlinuz" -initrd "$work/initrd" -append "console=ttyS0 quiet test.topic=$topic" \
        -timeout $((120 * SLOW)) "$@" </dev/null 2>&1 | tr -d '\r' >"$work/out"
    local status=${PIPESTATUS[0]}
    ((status == 0)) || problem+="exit status $status; "
    grep -q '^TEST done$' "$work/out" || problem+="the guest did not come to its end; "
    ! grep -q '^TEST fail' "$work/out" || problem+=$(grep '^TEST fail' "$work/out" | head -n 5)
    (($(grep -c '^TEST ok' "$work/out") >= ${least[$topic]})) || problem+="only $(grep -c '^TEST ok' "$work/out") checks in the guest; "
}
declare -A least=([work]=21 [read-only]=13 [restart]=7 [build]=5)

expect() {
    "$@" || problem+="not so: $*; "
}

# Changes the directory once the guest has looked at it.
host_side() {
    await 100 test -e "$1/guest-is-ready"
    echo after >"$1/host-writes"
    mkdir "$1/host-made"
    : >"$1/host-made/file"
    rm "$1/host-removes"
}

run_work() {
    local share=$work/share
    mkdir "$share"
    echo before >"$share/host-writes"
    : >"$share/host-removes"
    ln -s /etc/passwd "$share/leads-out"
    host_side "$share" &
    local side=$!
    boot work -smp 2 -m 256 -share "$share$1"
    kill "$side" 2>/dev/null
    wait "$side"
    expect cmp -s <(tar tf "$work/archive.tar" | sed 's,/$,,' | sort) <(cd "$share/t1" && find include devices loader | sort)
    expect test "TEST sum $(md5sum <"$share/big" | cut -d' ' -f1)" = "$(grep '^TEST sum' "$work/out")"
    expect test "$(stat -c %a "$share/t1")" = 600
    expect test "$(stat -c %Y "$share/big")" = 981173106
    expect test "$(head -c 26 "$share/mapped")" = abcdefghijklmnopqrstuvwxyz
    expect test "$(cat "$share/l2" "$share/r2" "$share/re/f")" = xtwoF
    expect test ! -e "$share/unlinked"
    expect test "$(grep -c '^0' "$share/appended") $(grep -c '^1' "$share/appended")" = '200 200'
}

run_read-only() {
    mkdir -p "$work/share/d"
    echo text >"$work/share/d/f"
    local before
    before=$(cd "$work/share" && find . -printf '%p %m %U %T@ %C@ %s\n')
    boot read-only -m 192 -share "$work/share,ro"
    expect test "$before" = "$(cd "$work/share" && find . -printf '%p %m %U %T@ %C@ %s\n')"
}

run_restart() {
    mkdir "$work/share"
    boot restart -smp 2 -m 192 -share "$work/share"
    expect test "$(cat "$work/share/kept")" = kept
    expect test -s "$work/share/busy"
}

run_build() {
    mkdir "$work/share"
    cat >"$work/share/Makefile" <<'MAKE'
hello: main.o text.o
	gcc -o $@ main.o text.o
MAKE
    printf 'const char *text(void);\nint puts(const char *);\nint main(void) { puts(text()); return 0; }\n' >"$work/share/main.c"
    printf 'const char *text(void);\nconst char *text(void) { return "built in the guest"; }\n' >"$work/share/text.c"
    boot build -smp 2 -m 384 -share "$work/share" -share /,ro,tag=host
    expect test "$("$work/share/hello")" = 'built in the guest'
    expect grep -q '^built in the guest$' "$work/out"
    expect test ! -e /etc/made-in-the-guest
}

for topic in "${topics[@]}"; do
    problem=''
    chmod -R u+rwx "$work/share" 2>/dev/null
    rm -rf "$work/share"
    case $topic in
    work) run_work '' ;;
    mmio) run_work ',bus=mmio,cache=none' ;;
    read-only | restart | build) "run_$topic" ;;
    *) problem='there is no such topic' ;;
    esac
    judge "$topic" "$problem" "$work/out"
done
finish
