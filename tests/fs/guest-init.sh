#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the guests of tests/fs. test.topic=work|read-only|restart|build on the kernel's command line says what to do with the shared directory
# that is mounted on /mnt. Lines that begin with TEST are the report.
PATH=/bin
export PATH
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
while read -r module; do
    insmod "$module" || echo "TEST fail module $module"
done </lib/minivmm/modules
topic=$(sed -n 's/.*test\.topic=\([a-z-]*\).*/\1/p' /proc/cmdline)

# NAME COMMAND...: the command succeeds.
ok() {
    name=$1
    shift
    if "$@"; then echo "TEST ok $name"; else echo "TEST fail $name: $*"; fi
}

# NAME COMMAND...: the command fails, and says what a read-only file system makes it say.
refused() {
    name=$1
    shift
    if "$@" 2>/tmp/why; then
        echo "TEST fail $name: done, though the share is read-only"
    elif grep -q 'Read-only file system' /tmp/why; then
        echo "TEST ok $name"
    else
        echo "TEST fail $name: $(cat /tmp/why)"
    fi
}

# Until the command succeeds.
wait_for() {
    n=0
    until "$@" 2>/dev/null; do
        n=$((n + 1))
        [ $n -lt 100 ] || return 1
        sleep 0.1
    done
}

same_tree() {
    (cd "$1" && find . | sort | while read -r f; do if [ -f "$f" ]; then md5sum "$f"; else echo "$f"; fi; done) >/tmp/a
    (cd "$2" && find . | sort | while read -r f; do if [ -f "$f" ]; then md5sum "$f"; else echo "$f"; fi; done) >/tmp/b
    cmp /tmp/a /tmp/b
}

shows_what_the_host_changes() {
    [ "$(cat /mnt/host-writes)" = before ] || return 1
    : >/mnt/guest-is-ready
    wait_for grep -q after /mnt/host-writes && wait_for test -e /mnt/host-made/file && ! test -e /mnt/host-removes
}

work() {
    ok cpus test "$(grep -c ^processor /proc/cpuinfo)" = 2
    /bin/fs-guest /mnt
    # An archive with small files, unpacked by two processes at once; then compared with the same on tmpfs.
    mkdir /mnt/t1 /mnt/t2 /tmp/t
    tar xf /archive.tar -C /tmp/t
    tar xf /archive.tar -C /mnt/t1 &
    tar xf /archive.tar -C /mnt/t2
    wait
    ok tar-1 same_tree /tmp/t /mnt/t1
    ok tar-2 same_tree /tmp/t /mnt/t2
    ok remove rm -rf /mnt/t2
    ok removed test ! -e /mnt/t2
    dd if=/dev/urandom of=/tmp/big bs=64k count=48 2>/dev/null
    cp /tmp/big /mnt/big
    echo 3 >/proc/sys/vm/drop_caches
    ok large cmp /tmp/big /mnt/big
    md5sum /tmp/big | sed 's,^\([^ ]*\).*,TEST sum \1,'
    ok host-change shows_what_the_host_changes
    chmod 600 /mnt/t1 2>/dev/null && ok mode test "$(stat -c %a /mnt/t1)" = 600
    touch -d '2001-02-03 04:05:06' /mnt/big && ok time test "$(stat -c %Y /mnt/big)" = 981173106
    ok device sh -c '! mknod /mnt/dev c 1 3 2>/dev/null'
    ok statfs sh -c 'df /mnt | grep -q "^share"'
    ok sync sync
}

read_only() {
    ok read test "$(cat /mnt/d/f)" = text
    refused create touch /mnt/new
    refused write sh -c 'echo x >/mnt/d/f'
    refused append sh -c 'echo x >>/mnt/d/f'
    refused mkdir mkdir /mnt/new
    refused remove rm /mnt/d/f
    refused rename mv /mnt/d/f /mnt/d/g
    refused link ln /mnt/d/f /mnt/d/g
    refused symlink ln -s x /mnt/d/l
    refused mode chmod 777 /mnt/d/f
    refused owner chown 5 /mnt/d/f
    refused time touch /mnt/d/f
    ok still test "$(cat /mnt/d/f)" = text
}

# Mounted again, driver removed and inserted again, machine reset with files open and written to: each time all begins anew.
restart() {
    if [ -e /mnt/phase-2 ]; then
        ok after-reset test "$(cat /mnt/kept)" = kept
        return
    fi
    for i in 1 2 3; do
        umount /mnt
        ok "mount-$i" mount -t virtiofs share /mnt
    done
    umount /mnt
    ok remove-driver rmmod virtiofs
    ok insert-driver insmod /lib/minivmm/virtiofs.ko
    ok mount-again mount -t virtiofs share /mnt
    echo kept >/mnt/kept
    sync
    : >/mnt/phase-2
    cp -r /lib/minivmm /mnt/copies &
    while :; do echo busy; done >>/mnt/busy &
    sleep 1
    reboot -f
}

# The host's root directory, read-only, under a writable layer in memory; in it the host's compiler builds what is in the share.
build() {
    mkdir -p /host /new /layer
    ok mount-host mount -t virtiofs host /host
    mount -t tmpfs tmpfs /layer
    mkdir /layer/upper /layer/work
    ok overlay mount -t overlay overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work /new
    mount -t proc proc /new/proc
    mount -t devtmpfs devtmpfs /new/dev
    mount -t tmpfs tmpfs /new/tmp
    mkdir -p /new/mnt
    mount --bind /mnt /new/mnt
    ok build chroot /new /bin/sh -c 'PATH=/usr/bin:/bin; cd /mnt && make -s -j2'
    ok run chroot /new /mnt/hello
    ok layer sh -c 'echo x >/new/etc/made-in-the-guest && test ! -e /host/etc/made-in-the-guest'
}

mount -t virtiofs share /mnt || echo "TEST fail mount"
case $topic in
work) work ;;
read-only) read_only ;;
restart) restart ;;
build) build ;;
*) echo "TEST fail topic '$topic'" ;;
esac
cd /
umount /mnt/ 2>/dev/null || sync
echo "TEST done"
poweroff -f
