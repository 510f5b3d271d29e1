# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# A file that is written and given for something else too is an error before anything is opened: nothing is lost.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
truncate -s 1M disk.img
ln disk.img link.img
ln -s kernel name
boot=(-accel none -nic none -kernel kernel)
t "${boot[@]}" -disk disk.img -pidfile disk.img
t "${boot[@]}" -disk disk.img -serial file:link.img
t "${boot[@]}" -disk disk.img -nic user,pcap=./disk.img
t "${boot[@]}" -disk disk.img -chardev file,path=disk.img,id=c -device virtconsole,chardev=c
t "${boot[@]}" -pidfile name
t "${boot[@]}" -result kernel
t "${boot[@]}" -exits=kernel.json -result kernel.json
t "${boot[@]}" -D log -d guest -serial file:log
t "${boot[@]}" -qmp unix:socket -gdb unix:socket
t "${boot[@]}" -qmp unix:socket -vsock socket
t "${boot[@]}" -gdb unix:socket -pidfile socket
t "${boot[@]}" -chardev socket,path=socket,server=on,wait=off,id=c -device virtserialport,chardev=c -monitor unix:socket
stat -c '%n %s' ./*
# What is shared on purpose.
t "${boot[@]}" -timeout 1 -serial file:/dev/null -result /dev/null -junit /dev/null
t "${boot[@]}" -timeout 1 -serial null -disk disk.img,ro -disk link.img,ro
"$BIN" "${boot[@]}" -timeout 1 -serial file:/dev/stdout -result /dev/stdout >both 2>&1
grep cause both
