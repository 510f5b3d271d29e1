#!/bin/sh
# SPDX-License-Identifier: MIT
#
# One machine of tests/debian, here or in the testbed, where busybox is the shell:
#   session.sh MINIVMM WORDS OPTION...
# Its console comes out of ours. In the current directory: www/ is served to the guest on port 18080 of the host's loopback; share/ may
# be the guest's. With test.end=wait among WORDS the power button is pressed, by minivmm ctl, when the guest is done.
minivmm=$1 words=$2
shift 2
ifconfig lo 127.0.0.1 2>/dev/null
busybox httpd -f -p 127.0.0.1:18080 -h www &
server=$!
rm -f qmp console
mkfifo console
"$minivmm" "$@" -append "console=ttyS0 $words" -qmp unix:qmp >console 2>&1 </dev/null &
machine=$!
while read -r line; do
    printf '%s\n' "$line"
    case $words,$line in
    *test.end=wait*,TEST*done*) "$minivmm" ctl qmp system_powerdown >/dev/null || echo 'TEST fail: no power button' ;;
    esac
done <console
wait $machine
status=$?
kill $server
cmp -s share/back www/file && echo 'TEST back'
exit $status
