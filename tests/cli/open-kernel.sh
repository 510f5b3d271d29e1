# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# A kernel file that is no kernel, or none at all: one line, status 1, before anything else is touched.
t -kernel missing
: >empty
t -kernel empty
mkdir directory
t -kernel directory
head -c 4096 /dev/zero >zeroes
t -kernel zeroes
echo text | gzip -n >kernel.gz
t -kernel kernel.gz
mkfifo fifo
t -kernel fifo
printf 'QFI\xfb' >image.qcow2
head -c 4096 /dev/zero >>image.qcow2
t -kernel image.qcow2
cp /proc/self/exe program # bash, or whatever runs this
t -kernel program
