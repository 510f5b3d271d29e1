# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# A tap interface without the right to make one: as another user, where we are root.
[[ -c /dev/net/tun ]] || skip 'no /dev/net/tun'
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
boot=(-accel none -serial null -kernel kernel)
if ((EUID == 0)); then
    command -v setpriv >/dev/null || skip 'no setpriv'
    umask 022
    cp "$BIN" copy && chmod 755 copy . && chmod 644 kernel
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${as[@]}" ./copy -n -kernel kernel >/dev/null 2>&1 || skip 'another user cannot reach the test directory'
    run() {
        printf '$ minivmm %s\n' "$*"
        timeout 10 "${as[@]}" ./copy "$@" 2>&1 </dev/null
        printf '[exit %d]\n' $?
    }
else
    run() { t "$@"; }
fi
run "${boot[@]}" -nic tap,ifname=minivmm-test0
