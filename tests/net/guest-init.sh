#!/bin/sh
# SPDX-License-Identifier: MIT
#
# /init of the guest in the network tests (see mkinitramfs --init). What it does, in this order, is
# on the kernel's command line; what comes out is told in lines that a script can look for:
#
#   test.addr=dhcp|ADDR         TEST address ADDR ROUTER DNS     (ADDR: by hand, /24)
#   test.ping=ADDR              TEST ping ADDR ok|lost; lost after one attempt, or test.tries=N
#   test.name=NAME              TEST name NAME ADDR...
#   test.get=URL                TEST get BYTES; with test.sum=1 TEST sum SHA256 (slow in an emulated guest)
#   test.done=URL               asks for it
#   test.put=BYTES              serves so many zeros, as /zeros
#   test.serve=1                TEST serving, then /data (what test.get fetched) and /zeros until
#                               /cgi-bin/done has been asked for: TEST served
#   test.queues=N               TEST queues N: what the interface has, after asking for N
#                               TEST done, before power-off
PATH=/bin
export PATH

mount -t devtmpfs devtmpfs /dev 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
while read -r module; do
    insmod "$module" || echo "TEST fail insmod $module"
done </lib/minivmm/modules
for word in $(cat /proc/cmdline); do
    case $word in
    test.*=*)
        word=${word#test.}
        eval "${word%%=*}='${word#*=}'"
        ;;
    esac
done

cat >/tmp/dhcp <<'SCRIPT'
#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
[ -z "$router" ] || route add default gw "$router"
[ -z "$dns" ] || echo "nameserver $dns" >/etc/resolv.conf
echo "TEST address $ip ${router:-none} ${dns:-none}" >/dev/console
SCRIPT
chmod +x /tmp/dhcp
ifconfig lo 127.0.0.1
if [ "$addr" = dhcp ]; then
    ifconfig eth0 up
    udhcpc -i eth0 -n -q -t 5 -T 1 -s /tmp/dhcp >/dev/null 2>&1 || echo "TEST fail dhcp"
else
    ifconfig eth0 "$addr" netmask 255.255.255.0
    echo "TEST address $addr none none"
fi
[ -z "$queues" ] || echo "TEST queues $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)"

if [ -n "$ping" ]; then
    i=0 answer=ok
    until ping -c 2 -W 2 "$ping" >/dev/null; do
        [ $((i += 1)) -lt "${tries:-1}" ] || { answer=lost && break; }
    done
    echo "TEST ping $ping $answer"
fi
if [ -n "$name" ]; then
    echo "TEST name $name" $(nslookup "$name" 2>&1 | sed -n '/^Name:/,$s/^Address[^:]*: *//p')
fi
mkdir -p /www/cgi-bin
if [ -n "$get" ]; then
    i=0
    until wget -q -O /www/data "$get" || [ $((i += 1)) -gt "${tries:-10}" ]; do sleep 1; done
    echo "TEST get $(stat -c %s /www/data)"
    [ -z "$sum" ] || echo "TEST sum $(sha256sum </www/data | cut -d ' ' -f 1)"
    [ -z "$done" ] || wget -q -O /dev/null "$done"
fi
if [ -n "$serve" ]; then
    [ -z "$put" ] || dd if=/dev/zero of=/www/zeros bs=64k count=$((put / 65536)) 2>/dev/null
    printf '#!/bin/sh\ntouch /tmp/done\nprintf "Content-Type: text/plain\\r\\n\\r\\nbye\\n"\n' >/www/cgi-bin/done
    chmod +x /www/cgi-bin/done
    httpd -p 80 -h /www
    echo "TEST serving"
    i=0
    until [ -e /tmp/done ] || [ $((i += 1)) -gt 1500 ]; do usleep 100000; done
    usleep 200000
    echo "TEST served"
fi
dmesg | grep -iE 'virtio_net.*(fail|error)|eth0.*(hung|timeout)|bad gso|csum failure' | sed 's/^/TEST fail /'
echo "TEST done"
poweroff -f
