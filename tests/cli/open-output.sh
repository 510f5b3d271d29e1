# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Files to write to that cannot be made.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
t -accel none -kernel kernel -serial file:missing/out
t -accel none -kernel kernel -serial null -D missing/log
t -accel none -kernel kernel -serial null -pidfile missing/pid
