# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# As many CPUs as there can be, on the engines that need nothing of the host; one more is refused, whichever engine was meant.
{ printf '\xfa\xf4'; head -c 508 /dev/zero; printf '\x55\xaa'; } >kernel
for engine in interp none; do
    t -accel $engine -smp 255 -serial null -kernel kernel -timeout 1
done
for engine in kvm interp none; do
    t -accel $engine -smp 256 -kernel kernel
done
