# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Where a disk is no disk and the kernel's modules are not there either, the disk is what is told of.
kernel=$TREE/build/linux/vmlinuz
[[ -r $kernel ]] || skip 'no stock kernel (guest-images/linux/fetch-kernel)'
ln -s "$kernel" kernel
mkdir nothing
: >empty.img
for disk in missing.img nothing empty.img /dev/null; do
    t -accel interp -kernel kernel -modules nothing -disk "$disk"
done
truncate -s 1M good.img
t -accel interp -kernel kernel -modules nothing -disk good.img | sed 's/[0-9]*\.[0-9]*\.[0-9]*-[a-z0-9-]*/RELEASE/g'
