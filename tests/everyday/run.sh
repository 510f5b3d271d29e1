#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Usage: tests/everyday/run.sh MINIVMM [TOPIC...]
#
# What a user does every day, with the stock Debian cloud kernel on a software engine, so that it runs on any host: boots a disk with no
# initrd (the root found by itself, or named in every way), with the words that come when something is missing; runs commands of this
# host in a machine of their own (minivmm run) and looks at their streams, statuses and files; works in a shell (minivmm shell).
# ENGINE=kvm takes another engine.
# shellcheck source=tests/lib/suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/suite.sh"
minivmm=$(realpath "$1")
shift
engine=${ENGINE:-interp}
# shellcheck source=tests/everyday/disks.sh
. "$here/disks.sh"
command -v mke2fs >/dev/null || PATH=$PATH:/usr/sbin:/sbin
find_kernel || skip_all "$no_kernel" all
for tool in mke2fs busybox gzip; do
    command -v $tool >/dev/null || skip_all "no $tool here" all
done
kernel=$kernel_dir/vmlinuz
release=$(cat "$kernel_dir/version")

problem=''
wrong() {
    problem+="$*; "
}

# STATUS ARG...: a run with its console in $work/out, messages in $work/err.
boots() {
    local want=$1 got
    shift
    "$minivmm" -accel "$engine" -d none -m 256 -timeout $((60 * SLOW)) "$@" </dev/null >"$work/out.raw" 2>"$work/err"
    got=$?
    tr -d '\r' <"$work/out.raw" >"$work/out"
    ((got == want)) || wrong "status $got, not $want"
}

says() {
    grep -qE -- "$1" "$work/out" || wrong "no line '$1'"
}

complains() {
    grep -qE -- "$1" "$work/err" || wrong "stderr has no '$1'"
    [[ $(wc -l <"$work/err") == 1 ]] || wrong 'stderr is not one line'
}

topic() {
    name=$1 problem=''
    shift
    : >"$work/out"
    : >"$work/err"
    if ((${#topics[@]})) && [[ " ${topics[*]} " != *" $name "* ]]; then
        return
    fi
    "$@"
    judge "$name" "$problem" "$work/out" "$work/err"
}
topics=("$@")

# --- disks ---

uuid=0123abcd-1111-2222-3333-444455556666
make_root "$work/root"
make_ext4 "$work/whole.img" "$work/root" 16 whole $uuid || exit 1
make_ext4 "$work/small.img" "$work/root" 8 small || exit 1
make_mbr "$work/mbr.img" "$work/small.img" "$work/whole.img"
make_gpt "$work/gpt.img" "$work/whole.img" "$work/small.img"

whole_disk() {
    boots 0 -kernel "$kernel" -disk "$work/whole.img,snapshot"
    says '^TEST init 1 $'
    says '^TEST root /dev/vda ext4 rw$'
    says '^TEST dev$'
}

# The bigger Linux partition, a logical one.
mbr() {
    boots 0 -kernel "$kernel" -disk "$work/mbr.img,ro"
    says '^TEST root /dev/vda5 ext4 ro$'
    says '^TEST label whole$'
}

# The one of the root's type, though it is smaller; on the second disk, over virtio-mmio, with words for init.
gpt() {
    truncate -s 1M "$work/empty.img"
    boots 0 -kernel "$kernel" -disk "$work/empty.img,bus=mmio" -disk "$work/gpt.img,bus=mmio,snapshot" -append 'console=ttyS0 quiet -- single'
    says '^TEST init 1 single$'
    says '^TEST root /dev/vdb2 ext4 rw$'
    says '^TEST label small$'
}

# KIND VALUE DEVICE
named() {
    boots 0 -kernel "$kernel" -disk "$work/gpt.img,snapshot" -append "console=ttyS0 quiet root=$1=$2"
    says "^TEST root $3 ext4 ro\$"
}

no_init() {
    boots 0 -kernel "$kernel" -disk "$work/whole.img,snapshot" -append 'console=ttyS0 quiet panic=-1 init=/no/such' -no-reboot
    says 'minivmm init: cannot run init=/no/such on /dev/vda: no such file'
}

no_root() {
    boots 0 -kernel "$kernel" -disk "$work/whole.img,snapshot" -append 'console=ttyS0 quiet panic=-1 root=/dev/vda rootfstype=xfs' -no-reboot
    says 'minivmm init: cannot mount /dev/vda \(xfs\) as root: not what it should be'
}

# A directory of this host as the root.
share() {
    boots 0 -kernel "$kernel" -share "$work/root,tag=top,ro" -append 'console=ttyS0 quiet root=top rootfstype=virtiofs'
    says '^TEST root top virtiofs ro$'
}

# Drivers that are built in: no initramfs of ours. The same directory as before, with other words in modules.builtin.
built_in() {
    mkdir -p "$work/builtin"
    printf 'kernel/%s.ko\n' virtio_blk virtio-pci ext4 >"$work/builtin/modules.builtin"
    "$minivmm" -accel none -timeout 1 -d boot -kernel "$kernel" -modules "$work/builtin" -disk "$work/gpt.img" </dev/null >"$work/out" 2>&1
    says 'root is /dev/vda2'
    ! grep -q initramfs "$work/out" || wrong 'an initramfs was made'
}

no_modules() {
    mkdir -p "$work/alone"
    cp "$kernel" "$work/alone/vmlinuz"
    boots 1 -kernel "$work/alone/vmlinuz" -disk "$work/whole.img"
    complains "no built-in virtio_pci, which a disk needs, and its modules are not in $work/alone/modules/$release, .*/lib/modules/$release.*-modules"
    boots 1 -kernel "$kernel" -modules "$work/alone" -disk "$work/whole.img"
    complains "there are no modules of kernel $release in $work/alone"
}

no_driver() {
    mkdir -p "$work/few"
    echo kernel/fs/ext4/ext4.ko >"$work/few/modules.builtin"
    boots 1 -kernel "$kernel" -modules "$work/few" -disk "$work/whole.img"
    complains 'has no driver virtio_pci, .*CONFIG_VIRTIO_PCI=y'
}

other_modules() {
    mkdir -p "$work/other"
    for module in "$kernel_dir"/modules/kernel/drivers/{virtio/virtio*,block/virtio_blk}.ko; do
        sed 's/vermagic=6/vermagic=5/' "$module" >"$work/other/${module##*/}"
    done
    boots 1 -kernel "$kernel" -modules "$work/other" -disk "$work/whole.img"
    complains "/virtio_pci.ko' is for kernel 5[^ ]*, but the kernel is $release"
}

packed_modules() {
    mkdir -p "$work/packed"
    cp "$kernel_dir/modules/modules.builtin" "$work/packed"
    cp "$kernel_dir"/modules/kernel/drivers/{virtio/virtio*,block/virtio_blk}.ko "$work/packed"
    xz --check=crc32 "$work"/packed/*.ko
    boots 0 -kernel "$kernel" -modules "$work/packed" -disk "$work/whole.img,snapshot"
    says '^TEST root /dev/vda ext4 rw$'
}

topic disk-whole whole_disk
topic disk-mbr mbr
topic disk-gpt gpt
topic disk-label named LABEL whole /dev/vda1
topic disk-uuid named UUID ${uuid^^} /dev/vda1
topic disk-partlabel named PARTLABEL the-root /dev/vda2
topic disk-no-init no_init
topic disk-no-root no_root
topic share-as-root share
topic modules-built-in built_in
topic modules-not-found no_modules
topic modules-no-driver no_driver
topic modules-of-another-kernel other_modules
topic modules-packed packed_modules

# --- commands ---

export MINIVMM_KERNEL=$kernel
cd "$work" || exit 1

# STATUS OPTION... -- COMMAND...: with stdin from $work/in, stdout to $work/out, stderr to $work/err.
runs() {
    local want=$1 got
    shift
    "$minivmm" run --accel "$engine" --memory 256M --timeout $((60 * SLOW)) "$@" <"$work/in" >"$work/out" 2>"$work/err"
    got=$?
    ((got == want)) || wrong "status $got, not $want"
}

is() {
    [[ $1 == "$2" ]] || wrong "'$1', not '$2'"
}

streams() {
    head -c 1048576 /dev/urandom >"$work/in"
    runs 7 --env WORD='two words' --env HOME=/elsewhere -- sh -c 'echo "$(pwd) $WORD $HOME $0 $1" >&2; cat; exit 7' zero 'one
and a half'
    cmp "$work/in" "$work/out" || wrong 'the bytes differ'
    is "$(cat "$work/err")" "$work two words /elsewhere zero one
and a half"
    : >"$work/in"
}

# A file is written over the shared root, and one where that lasts; a link to itself is no way out.
files() {
    mkdir -p "$work/kept, really"
    echo before >"$work/old"
    # shellcheck disable=SC2016
    runs 0 --rw "$work/kept, really" -- sh -c 'echo after >old; echo new >new; cat old new; cp new kept*/; rm old; ls old; [ -w /proc/1/comm ]; test -c /dev/null'
    is "$(head -n 2 "$work/out")" "after
new"
    is "$(cat "$work/old")" before
    [[ ! -e $work/new ]] || wrong 'a throw-away file has come to stay'
    is "$(cat "$work/kept, really/new")" new
}

by_signal() {
    # shellcheck disable=SC2016
    runs 137 --json "$work/result" -- sh -c 'kill -KILL $$'
    grep -q '"cause": "command-signal"' "$work/result" || wrong 'no cause in the result'
    grep -q '"signal": 9' "$work/result" || wrong 'no signal in the result'
    grep -q '"status": 137' "$work/result" || wrong 'no status in the result'
    is "$(cat "$work/err")" ''
}

too_long() {
    runs 124 --timeout 5 --json "$work/result" -- sleep 100
    grep -q '"cause": "timeout"' "$work/result" || wrong 'no cause in the result'
    is "$(cat "$work/err")" 'minivmm: --timeout of 5 s passed'
}

# What is found only when the machine is made is told in the words of run, too.
too_much() {
    runs 125 --memory 1T -- true
    complains '^minivmm: --memory: '
}

# In a root where only the guest can tell.
not_there() {
    runs 127 --root "$work/root" -- no-such-command
    is "$(cat "$work/err")" 'minivmm: no-such-command: command not found'
    runs 126 --root "$work/root" -- /etc/label
    is "$(cat "$work/err")" 'minivmm: /etc/label: Permission denied'
}

guest_dies() {
    runs 240 -- sh -c 'echo c >/proc/sysrq-trigger'
    is "$(cat "$work/err")" "minivmm: the guest's kernel panicked"
    runs 243 -- sh -c 'echo b >/proc/sysrq-trigger'
    is "$(cat "$work/err")" 'minivmm: the guest reset itself'
}

# The command hears of it as it would on the host: SIGPIPE.
reader_leaves() {
    local first
    {
        "$minivmm" run --accel "$engine" --memory 256M --timeout $((60 * SLOW)) -- yes </dev/null 2>"$work/err"
        echo $? >"$work/status"
    } | { read -r first; echo "$first" >"$work/out"; }
    is "$(cat "$work/out") $(cat "$work/status")" 'y 141'
    is "$(cat "$work/err")" ''
}

# The command cannot know that its output is lost here, so the status tells.
disk_full() {
    local got
    "$minivmm" run --accel "$engine" --memory 256M --timeout 60 --json "$work/result" -- echo lost </dev/null >/dev/full 2>"$work/err"
    got=$?
    is "$got" 1
    grep -q '"command_status": 0' "$work/result" || wrong 'the command itself ended well'
    complains 'No space left on device'
}

# PORT is set: a web server on 127.0.0.1.
serve() {
    mkdir -p "$work/www"
    head -c 1M /dev/urandom >"$work/www/file"
    for ((port = 20000 + RANDOM % 20000; ; port++)); do
        busybox httpd -f -p "127.0.0.1:$port" -h "$work/www" 2>/dev/null &
        server=$!
        sleep 0.3
        ! kill -0 $server 2>/dev/null || break
    done
}

# This host's server at the gateway's address; without --net there is no interface.
with_net() {
    serve
    runs 0 --net -- sh -c 'grep -v "^#" /etc/resolv.conf >&2; busybox wget -q -O - "http://10.0.2.2:$0/file"' "$port"
    cmp -s "$work/www/file" "$work/out" || wrong 'not the file that the host serves'
    is "$(cat "$work/err")" 'nameserver 10.0.2.3'
    kill $server
    runs 0 -- sh -c 'ls /sys/class/net'
    is "$(cat "$work/out")" lo
}

in_a_shell() {
    ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -O1 -o "$work/pty_run" "$top/tests/end/pty_run.c" -lutil || wrong 'no helper'
    SHELL=/bin/sh "$work/pty_run" 'expect:# ' raw 'send:tty; echo $((6*7))\x0d' 'expect:/dev/pts/0' 'expect:42' 'expect:# ' \
        'send:sleep 100\x0dx\x7f' 'send:\x03' 'expect:# ' 'send:exit 5\x0d' -- \
        "$minivmm" shell --accel "$engine" --memory 256M --timeout $((60 * SLOW)) >"$work/out" 2>"$work/err"
    is $? 5
}

: >"$work/in"
topic run-streams streams
topic run-files files
topic run-signal by_signal
topic run-timeout too_long
topic run-memory too_much
topic run-not-there not_there
topic run-guest-dies guest_dies
topic run-reader-leaves reader_leaves
topic run-disk-full disk_full
if busybox --list | grep -qx httpd && busybox --list | grep -qx wget; then
    topic run-net with_net
else
    echo 'SKIP everyday/run-net: no busybox with httpd and wget'
    skipped=$((skipped + 1))
fi
topic shell in_a_shell
finish
