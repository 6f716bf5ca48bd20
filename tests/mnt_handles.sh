#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Handles survive dropped caches and a restart of the server; stale and forged ones and
# those outside a configured root are ESTALE.
. "$(dirname "$0")/lib.sh"
need_fuse; need python3 mke2fs debugfs

img 64M -t ext4
serve
python3 "$top_tests/handles.py" save "$mnt" "$scratch/saved" || fail "save"
python3 "$top_tests/handles.py" check "$mnt" "$scratch/saved" || fail "after dropped caches"
python3 "$top_tests/handles.py" forge "$mnt" || fail "forged handles"
unserve
serve
python3 "$top_tests/handles.py" check "$mnt" "$scratch/saved" || fail "after a restart"
mkdir "$mnt/other"
echo outside >"$mnt/other/file"
python3 - "$mnt/other/file" "$scratch/outside" "$top_tests" <<'P' || fail "handle of the outside file"
import json, sys
sys.path.insert(0, sys.argv[3])
import handles
kind, data = handles.name_to_handle(sys.argv[1])
json.dump([["/outside", kind, data.hex(), 0, True]], open(sys.argv[2], "w"))
P
unserve
serve "root=/h"
[ "$(cat "$mnt/f0")" = "content 0" ] || fail "root=/h does not serve /h"
python3 "$top_tests/handles.py" check "$mnt" "$scratch/outside" || fail "a handle outside root=/h"
unserve
serve "root=$(debugfs -R 'stat /h' "$image" 2>/dev/null | awk '/Inode:/ { print $2 }')"
[ "$(cat "$mnt/f0")" = "content 0" ] || fail "root=INO does not serve /h"
python3 "$top_tests/handles.py" check "$mnt" "$scratch/outside" || fail "a handle outside root=INO"
unserve
clean_image

# What is no directory cannot be a root: reserved, free, out of range, a file.
for ino in 0 1 7 8 5000 99999999 99999999999999999999 \
	"$(debugfs -R 'stat /h/f0' "$image" 2>/dev/null | awk '/Inode:/ { print $2 }')"; do
	"$FUSE4FS" -o "root=$ino" "$image" "$mnt" 2>"$scratch/err" && fail "root=$ino was mounted"
	grep -q "root=$ino: .*directory of the image" "$scratch/err" || fail "root=$ino: $(cat "$scratch/err")"
done
debugfs -w -R "set_inode_field / mode 0100644" "$image" 2>/dev/null
"$FUSE4FS" "$image" "$mnt" 2>"$scratch/err" && fail "a root that is a plain file was mounted"
grep -q "root directory" "$scratch/err" || fail "root that is a plain file: $(cat "$scratch/err")"
