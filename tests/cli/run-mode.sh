# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# minivmm run and minivmm shell: what is wrong is said before a guest runs, on one line, with status 125, 126 or 127.
unset MINIVMM_KERNEL
printf '\177ELF Linux version 9.9.9-test (x) #1\0' >kernel
mkdir dir bare
printf '#!/bin/sh\n' >script
touch rw

t run
t run true
t run --timeout 5 true
t run --
t run --timeout 5
t run --timeout 0 -- true
t run --timeout soon -- true
t run --timeuot 5 -- true
t run --timeout=x -- true
t run --verbose=x -- true
t run --kernel kernel --memory lots -- true
t run --kernel kernel --cpus 0 -- true
t run --kernel kernel --exits=report.txt -- true
t run --kernel kernel --symbols kernel -- true
t run --exits report.json
t run --json r.json --exits=r.json -- true
t run --root "$PWD/nowhere" -- true
t run --root "$PWD/script" -- true
t run --rw nowhere -- true
t run --rw script -- true
t run --root dir --rw bare -- true
t run --rw / -- true
t run --env =x -- true
t run --kernel nowhere -- true
t run --kernel script -- true
t run --kernel kernel -- true
t run --kernel kernel --modules bare -- true
t run -- no-such-command
t run -- ./no-such-file
t run -- ./script
t run -- ./dir
t run --env PATH=/nowhere -- true
t run -- ''
t shell
t shell --kernel kernel extra
MINIVMM_KERNEL=/no/such t run -- true
t run --json nowhere/out.json -- no-such-command
t run --json out.json -- no-such-command
grep -v '"total"\|"kernel"' out.json

# Nothing in the kernel's directories, nor beside the program.
if compgen -G '/boot/vmlinuz-*' >/dev/null; then
    echo "minivmm: no kernel that can be read in /boot, and neither --kernel nor \$MINIVMM_KERNEL: install one (Debian: apt-get install linux-image-cloud-amd64) or name one with --kernel FILE"
else
    cp "$BIN" lonely
    ./lonely run -- true
fi
# A kernel with modules, but without the drivers.
mkdir -p modules
printf 'kernel/%s.ko\n' virtio_pci virtio_console overlay >modules/modules.builtin
t run --kernel kernel -- true
echo kernel/virtiofs.ko >>modules/modules.builtin
t run --kernel kernel --net -- true
