# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A control socket that cannot be made.
long=$(printf 'x%.0s' {1..120})
echo precious >file
mkdir dir
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
common=(-accel none -serial null -timeout 1 -kernel kernel)
shown() {
    local status=0
    timeout 10 "$BIN" "${common[@]}" "$@" 2>&1 </dev/null || status=$?
    echo "$* [exit $status]" | sed "s/x\{100,\}/LONG/"
}
shown -qmp unix:file
cat file
shown -qmp unix:dir
shown -qmp unix:nowhere/socket
shown -qmp "unix:$long"
shown -monitor unix:/proc/socket
# A name that nobody listens on is taken over, and gone afterwards; a live one is left alone.
"$BIN" "${common[@]}" -timeout 60 -qmp unix:live >/dev/null 2>&1 </dev/null &
for ((i = 0; i < 50; i++)); do
    [[ -S live ]] && break
    sleep 0.1
done
stat -c '%A %F' live
shown -qmp unix:live
"$BIN" ctl live query-status
"$BIN" ctl live screendump
echo "[exit $?]"
"$BIN" ctl live quit
wait
ls
