# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Files that are to tell how the run ended: what cannot be written is an error before there is a guest.
t -n -kernel k -result r.json -junit j,,x.xml,pass=33
t -kernel k -result ''
t -kernel k -junit j.xml,fail=3
t -kernel k -junit j.xml,pass=256
t -kernel k -result no/such/dir/r.json
t -kernel k -junit no/such/dir/j.xml
mkdir dir
t -kernel k -result dir
ln -s nowhere/file link
t -kernel k -result link
t -kernel k -result r.json
grep -E '"(cause|status|message)"' r.json
t -kernel k -junit j.xml
sed 's/ time="[0-9.]*"//' j.xml
t -kernel k -result r.json -junit no/such/dir/j.xml
t -kernel k -d nonsense -result usage.json
ls -A
