# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Disk images that cannot be used. The kernel is an empty boot sector, and the engine the one without a CPU.
{ head -c 510 /dev/zero; printf '\x55\xaa'; } >kernel
boot=(-accel none -serial null -kernel kernel)
t "${boot[@]}" -disk missing
: >empty
t "${boot[@]}" -disk empty
mkdir directory
t "${boot[@]}" -disk directory
mkfifo fifo
t "${boot[@]}" -disk fifo
head -c 1000 /dev/zero >odd
t "${boot[@]}" -disk odd
head -c 65536 /dev/zero >disk
t "${boot[@]}" -disk disk -disk disk

# In use by another process, which is up once its pidfile is there.
timeout 20 "$BIN" "${boot[@]}" -disk disk -pidfile pid >/dev/null 2>&1 </dev/null &
first=$!
for ((i = 0; i < 100; i++)); do
    [[ -e pid ]] && break
    sleep 0.1
done
t "${boot[@]}" -disk disk | sed 's/pid [0-9]*/pid N/'
t "${boot[@]}" -disk disk,ro | sed 's/pid [0-9]*/pid N/'
kill "$first"
wait "$first"
