# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A control socket in a folder that we may not write to.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
mkdir folder
chmod a=rx folder
chmod a+r kernel
run=()
if ((EUID == 0)); then
    run=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    chmod a+rx . ..
    "${run[@]}" timeout 10 "$BIN" -version >/dev/null 2>&1 || skip "root may write everything, and another user cannot run the binary"
fi
"${run[@]}" timeout 10 "$BIN" -accel none -serial null -kernel kernel -qmp unix:folder/qmp 2>&1 </dev/null
echo "[exit $?]"
