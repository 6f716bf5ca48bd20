#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Handles survive dropped caches and a restart of the server; stale and forged ones and
# those outside a configured root are ESTALE.
. "$(dirname "$0")/lib.sh"
need_fuse; need python3 mke2fs

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
clean_image
