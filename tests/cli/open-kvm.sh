# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# No /dev/kvm: an empty /dev in a mount namespace of our own, where the host lets us make one.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
hide=(unshare --user --map-root-user --mount bash -c 'mount -t tmpfs none /dev && exec "$@"' -)
"${hide[@]}" true 2>/dev/null || skip "cannot hide /dev/kvm: no mount namespaces here"
exec </dev/null
"${hide[@]}" timeout 10 "$BIN" -accel kvm -serial null -kernel kernel 2>&1
echo "[exit $?]"
"${hide[@]}" timeout 10 "$BIN" -accel kvm:none -serial null -timeout 1 -kernel kernel 2>&1
echo "[exit $?]"
"${hide[@]}" timeout 10 "$BIN" -serial null -timeout 1 -kernel kernel 2>&1
echo "[exit $?]"
