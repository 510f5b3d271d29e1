# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Engines that cannot be compared here: more than one vCPU; no /dev/kvm (an empty /dev in a mount namespace of our own).
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
t -accel lockstep=interp,interp -smp 2 -serial null -kernel kernel
hide=(unshare --user --map-root-user --mount bash -c 'mount -t tmpfs none /dev && exec "$@"' -)
"${hide[@]}" true 2>/dev/null || skip "cannot hide /dev/kvm: no mount namespaces here"
exec </dev/null
"${hide[@]}" timeout 10 "$BIN" -accel lockstep=interp,kvm -serial null -kernel kernel 2>&1
echo "[exit $?]"
