# SPDX-License-Identifier: MIT
sh "$(dirname "$0")/blk_disks.sh" "$1" 0
