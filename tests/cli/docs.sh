# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# The generated parts of README.md and docs/ say what the option table says.
"$TREE/docs/update.sh" --check "$BIN"
echo "[exit $?]"
version=$("$BIN" -version | head -n 1)
grep -q "^\.TH MINIVMM 1 .*\"$version\"" "$TREE/docs/minivmm.1" && echo "the manual page has the right version"
