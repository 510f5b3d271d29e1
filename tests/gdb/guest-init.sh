#!/bin/sh
# SPDX-License-Identifier: MIT
# Keeps every CPU in and out of the kernel, and says that it does.
echo up
for cpu in 0 1; do
    while :; do cat /init >/dev/null; done &
done
while :; do
    echo alive
    sleep 1
done
