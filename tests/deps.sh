#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# `make deps`: installs what building, running and testing need and this machine lacks, through apt. On other systems it says
# what to install. Nothing happens, and no root is needed, when all is there.
set -euo pipefail

build=(gcc make pkg-config libelf-dev liburing-dev liblz4-dev libzstd-dev zlib1g-dev liblzma-dev libjansson-dev libslirp-dev libzydis-dev)
run=(busybox-static e2fsprogs cpio lz4 qemu-system-x86 seabios)
test=(check acpica-tools gdb python3 chromium)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    echo "make deps: this is not a Debian system; install what these Debian packages hold: ${build[*]} ${run[*]} ${test[*]}" >&2
    exit 1
fi

missing=()
for package in "${build[@]}" "${run[@]}" "${test[@]}"; do
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [[ $status == installed ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        echo "make deps: not root and no sudo; run as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "make deps: installing ${missing[*]}"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
