# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# A directory that may not be read, and one that may not be entered.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
mkdir unreadable closed
chmod a=x unreadable
chmod a=r closed
chmod a+r kernel
run=()
if ((EUID == 0)); then
    run=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod a+rx . ..
    "${run[@]}" timeout 10 "$BIN" -version >/dev/null 2>&1 || skip "root may enter everything, and another user cannot run the binary"
fi
for dir in unreadable closed; do
    "${run[@]}" timeout 10 "$BIN" -accel none -serial null -kernel kernel -share $dir 2>&1 </dev/null
    echo "[exit $?]"
done
