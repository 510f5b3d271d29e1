# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# What completion offers at the end of a line, in bash; the script for zsh is at least one that zsh reads.
: >disk.img
: >disk2.img
mkdir sub
source "$TREE/docs/completions/minivmm.bash"
compopt() { :; } # only within a completion
complete_line() {
    COMP_LINE=$1 COMP_POINT=${#1}
    _minivmm minivmm
    printf '%s$\n' "$1"
    printf '    %s\n' "$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')"
}
complete_line 'minivmm '
complete_line 'minivmm -ker'
complete_line 'minivmm --no'
complete_line 'minivmm p'
complete_line 'minivmm -kernel di'
complete_line 'minivmm -disk disk'
complete_line 'minivmm -disk disk.img,'
complete_line 'minivmm -disk disk.img,ro,ca'
complete_line 'minivmm -disk disk.img,cache='
complete_line 'minivmm -disk disk.img,cache=un'
complete_line 'minivmm -drive file=dis'
complete_line 'minivmm -drive if=none,fo'
complete_line 'minivmm -device virtio-r'
complete_line 'minivmm -device isa-debug-exit,'
complete_line 'minivmm -kernel k -serial '
complete_line 'minivmm -accel '
complete_line 'minivmm -d '
complete_line 'minivmm -action panic='
complete_line 'minivmm -chardev socket,id=a,path=su'
complete_line 'minivmm -m '
if command -v zsh >/dev/null; then
    zsh -n "$TREE/docs/completions/_minivmm" || echo "zsh cannot read its script"
fi
