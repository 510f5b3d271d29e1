# SPDX-License-Identifier: MIT
case $1 in
setup) head -c 32768 /dev/zero >disk ;;
esac
