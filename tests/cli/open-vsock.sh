# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Sockets that cannot be listened on, and one that can. The kernel is an empty boot sector, and the engine the one without a CPU.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
boot=(-accel none -serial null -nic none -kernel kernel -timeout 1)
: >file
t "${boot[@]}" -vsock file
[[ -f file ]] && echo 'the file is still there'
mkdir dir
t "${boot[@]}" -vsock dir
t "${boot[@]}" -vsock missing/v
t "${boot[@]}" -vsock file/v
t "${boot[@]}" -vsock "$(printf 'l%.0s' {1..97})"
chmod 500 dir
if ((EUID == 0)); then
    t "${boot[@]}" -vsock /proc/v
else
    t "${boot[@]}" -vsock dir/v
fi 2>&1 | sed -e 's,/proc/v,dir/v,' -e 's/Permission denied\|No such file or directory/(not writable)/'
# One that another machine listens on; then one that a dead machine left behind.
"$BIN" "${boot[@]}" -vsock taken >/dev/null 2>&1 &
until [[ -S taken ]]; do sleep 0.05; done
stat -c %a taken
t "${boot[@]}" -vsock taken
{ kill -9 $!; wait $!; } 2>/dev/null # nor may the shell tell of it
[[ -S taken ]] && echo 'left behind'
t "${boot[@]}" -vsock taken
[[ -e taken ]] || echo 'removed at the end'
