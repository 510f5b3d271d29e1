# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A control socket in a folder that we may not write to.
