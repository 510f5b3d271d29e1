# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Files for the names of functions: what is none is said before there is a guest, and what never ends is not read.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
mkdir directory
mkfifo fifo
: >empty
head -c 100000 /dev/zero | tr '\0' x >long-line
printf 'MZ\nffffffff81000000 T _text\n' >binary
for file in missing directory fifo /dev/zero empty long-line binary; do
    t -accel none -nic none -serial null -kernel kernel -exits -symbols "$file"
done
