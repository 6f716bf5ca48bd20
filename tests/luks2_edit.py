# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes a LUKS2 header as a program other than ours would: luks2_edit.py IMAGE [-c COPY] CODE

CODE is Python run with j, the JSON object, and h, a dict of the binary header's fields
(seqid, label, version, hdr_size, hdr_offset, ...). Both copies, or COPY (0, 1), are written
with right checksums. Independent of the C code: struct, hashlib and json alone.
"""
import hashlib
import json
import struct
import sys

FIELDS = [("magic", "6s"), ("version", "H"), ("hdr_size", "Q"), ("seqid", "Q"),
          ("label", "48s"), ("csum_alg", "32s"), ("salt", "64s"), ("uuid", "40s"),
          ("subsystem", "48s"), ("hdr_offset", "Q"), ("padding", "184s"), ("csum", "64s")]
FORMAT = ">" + "".join(f for _, f in FIELDS)
BIN = 4096
CSUM_AT = 448


def load(f, off):
    f.seek(off)
    h = dict(zip((n for n, _ in FIELDS), struct.unpack(FORMAT, f.read(512))))
    f.seek(off + BIN)
    text = f.read(h["hdr_size"] - BIN).split(b"\0", 1)[0]
    return h, json.loads(text)


def store(f, off, size, h, j):
    text = j if isinstance(j, bytes) else json.dumps(j, separators=(",", ":")).encode()
    h = dict(h, csum=b"")
    buf = struct.pack(FORMAT, *(h[n] for n, _ in FIELDS)).ljust(BIN, b"\0")
    buf += text.ljust(size - BIN, b"\0")[:size - BIN]
    name = h["csum_alg"].split(b"\0", 1)[0].decode()
    csum = hashlib.new(name, buf).digest().ljust(64, b"\0")
    f.seek(off)
    f.write(buf[:CSUM_AT] + csum + buf[CSUM_AT + 64:])


def main():
    args = sys.argv[1:]
    image = args.pop(0)
    copies = [0, 1]
    if args[0] == "-c":
        copies = [int(args[1])]
        args = args[2:]
    with open(image, "r+b") as f:
        size = load(f, 0)[0]["hdr_size"]
        for copy in copies:
            h, j = load(f, copy * size)
            names = {"h": h, "j": j, "json": json}
            exec(args[0], names)  # pylint: disable=exec-used
            store(f, copy * size, size, h, names["j"])


main()
