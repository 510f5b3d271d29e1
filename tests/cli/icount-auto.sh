# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# auto under -icount: a software engine, whatever /dev/kvm is like; and the line at the end, which is the same every time.
{ printf '\x31\xc0\xff\xc0\xe6\xf4\xf4'; head -c 503 /dev/zero; printf '\x55\xaa'; } >kernel
for n in 1 2; do
    t -icount 4 -d icount -serial null -kernel kernel -device isa-debug-exit,iobase=0xf4,iosize=4 >out$n
done
sed 's/digest [0-9a-f]\{16\}$/digest DIGEST/' out1
cmp out1 out2
