# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# A machine without CPU does nothing until its time is over.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
t -accel none -serial null -kernel kernel -timeout 1
