#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What root's login on ttyS0 runs in the guest of tests/debian: waits until systemd has started all, tells what it finds in lines
# "TEST ...", and ends the machine. On the kernel's command line, test.NAME=VALUE:
#
#   test.port=N      fetch /file from the host's port N                       TEST fetched SHA256
#   test.share=1     mount the share, add up its file "there", write "back"    TEST share SHA256
#   test.vsock=1     the local CID                                             TEST cid N
#   test.end=HOW     poweroff, reboot (once, then power off), or wait: for the power button
value() {
    sed -n "s/.*\<test\.$1=\([^ ]*\).*/\1/p" /proc/cmdline
}

sum() {
    sha256sum | cut -d ' ' -f 1
}

# PORT: bash is all there is.
fetch() {
    local line
    exec 5<>"/dev/tcp/10.0.2.2/$1" || return
    printf 'GET /file HTTP/1.0\r\n\r\n' >&5
    while read -r line <&5 && [[ $line != $'\r' ]]; do :; done
    cat <&5
    exec 5<&-
}

cid() {
    perl -e 'open F, "</dev/vsock" or die; $n = pack "L", 0; ioctl F, 0x7b9, $n or die; print unpack "L", $n'
}

report() {
    echo "TEST boot $(cat /var/lib/minivmm-boots)"
    echo "TEST state $(systemctl is-system-running --wait)"
    systemctl --failed --no-legend --plain | sed 's/^/TEST failed unit /'
    journalctl -b -p warning --no-pager -q -o cat | sed 's/^/TEST journal /'
    dmesg -l emerg,alert,crit,err,warn | sed 's/^\[ *[0-9.]*\] /TEST dmesg /'
    dmesg | grep -E 'BUG:|[Ff]irmware [Bb]ug|Call Trace|cut here|lockup|stall|unstable|[Ss]purious' | sed 's/^\[ *[0-9.]*\] /TEST dmesg /'
    echo "TEST cpus $(nproc)"
    echo "TEST memory $(($(sed -n 's/^MemTotal: *\([0-9]*\).*/\1/p' /proc/meminfo) / 1024))"
    echo "TEST root $(findmnt -n -o SOURCE,FSTYPE / | tr -s ' ')"
    echo "TEST address $(ip -4 -o address show scope global | sed 's/.*inet \([^ ]*\).*/\1/')"
    echo "TEST route $(ip route show default | sed 's/.*via \([^ ]*\).*/\1/')"
    echo "TEST rng $(cat /sys/class/misc/hw_random/rng_current) $(head -c 64 /dev/hwrng 2>/dev/null | wc -c)"
    [[ -z $(value port) ]] || echo "TEST fetched $(fetch "$(value port)" | sum)"
    if [[ $(value share) ]]; then
        mount -t virtiofs share /mnt
        echo "TEST share $(sum </mnt/there)"
        cp /mnt/there /mnt/back
        umount /mnt
    fi
    [[ -z $(value vsock) ]] || echo "TEST cid $(cid)"
}

boots=$(($(cat /var/lib/minivmm-boots 2>/dev/null) + 1))
echo $boots >/var/lib/minivmm-boots
stty -onlcr
report 2>&1
echo "TEST done"
case $(value end) in
wait) sleep infinity ;;
reboot) ((boots == 1)) && systemctl reboot || systemctl poweroff ;;
*) systemctl poweroff ;;
esac
sleep infinity
