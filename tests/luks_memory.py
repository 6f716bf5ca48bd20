# SPDX-License-Identifier: GPL-2.0-or-later
"""Looks for secrets in a process: luks_memory.py PID PASSPHRASE VOLUME_KEY_HEX

The passphrase must be nowhere; the volume key only in memory that is locked and left out of
core dumps. Needs root.
"""
import re
import sys

pid, passphrase, key = sys.argv[1], sys.argv[2].encode(), bytes.fromhex(sys.argv[3])
areas = []
for line in open(f"/proc/{pid}/smaps"):
    m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ", line)
    if m:
        areas.append({"start": int(m[1], 16), "end": int(m[2], 16), "mode": m[3], "name": line})
    elif line.startswith("VmFlags:"):
        areas[-1]["flags"] = line.split()[1:]
wanted = {"lo", "dd"}
if any("san.so" in a["name"] for a in areas):
    wanted = {"dd"}     # sanitizers take mlock(2) away
found = 0
with open(f"/proc/{pid}/mem", "rb", 0) as mem:
    for a in areas:
        if "r" not in a["mode"] or "[v" in a["name"] or a["end"] - a["start"] > 1 << 32:
            continue
        try:
            mem.seek(a["start"])
            data = mem.read(a["end"] - a["start"])
        except (OSError, OverflowError):
            continue
        if passphrase in data:
            sys.exit(f"the passphrase is in {a['name']}")
        half = key[:len(key) // 2], key[len(key) // 2:]
        if any(h in data for h in half):
            found += 1
            if not wanted <= set(a["flags"]):
                sys.exit(f"the volume key is in unlocked memory: {a['name']} {a['flags']}")
for name in ("cmdline", "environ"):
    if passphrase in open(f"/proc/{pid}/{name}", "rb").read():
        sys.exit(f"the passphrase is in {name}")
limits = open(f"/proc/{pid}/limits").read()
if not re.search(r"Max core file size\s+0\s+0", limits):
    sys.exit("a core dump may be written")
if not found:
    sys.exit("the volume key was not found at all: this test sees nothing")
