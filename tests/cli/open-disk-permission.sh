# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# An image that may be read but not written.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
head -c 65536 /dev/zero >disk
chmod a=r disk kernel
run=()
if ((EUID == 0)); then
    run=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod a+rx . ..
    "${run[@]}" timeout 10 "$BIN" -version >/dev/null 2>&1 || skip "root may write everything, and another user cannot run the binary"
fi
"${run[@]}" timeout 10 "$BIN" -accel none -serial null -kernel kernel -disk disk 2>&1 </dev/null
echo "[exit $?]"
