# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks #include lines against the tables in ARCHITECTURE.md ("Layers").

A row of the first table is | layer | files | may use |, a row of the second
| foreign header | layers that may include it |. Files are shell patterns.
"""
import fnmatch
import glob
import os
import re
import sys


def table(text, title):
    """Rows (lists of cells) of the markdown table that follows a heading."""
    part = text.split("\n### " + title + "\n", 1)[1]
    rows = []
    for line in part.splitlines():
        if line.startswith("|"):
            rows.append([c.strip() for c in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


def words(cell):
    return [w.strip("`,") for w in cell.split() if w.strip("`,")]


def main():
    text = open("ARCHITECTURE.md").read()
    layers = {r[0]: (words(r[1]), set(words(r[2]))) for r in table(text, "Layers")}
    foreign = [(words(r[0]), set(words(r[1]))) for r in table(text, "Foreign headers")]
    problems = []

    def layer_of(path):
        hits = [n for n, (pats, _) in layers.items()
                if any(fnmatch.fnmatch(path, p) for p in pats)]
        if len(hits) != 1:
            problems.append(f"{path}: in {len(hits)} layers of the table: {hits}")
        return hits[0] if hits else None

    files = [f for d in ("transport", "crypto", "fuse4fs") for f in glob.glob(d + "/*.[ch]")]
    where = {f: layer_of(f) for f in sorted(files)}
    for path, layer in where.items():
        seen = set()
        for n, line in enumerate(open(path), 1):
            m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if not m or not layer:
                continue
            name = m.group(2)
            for pats, allowed in foreign:
                if any(fnmatch.fnmatch(name, p) for p in pats):
                    seen.add(pats[0])
                    if layer not in allowed:
                        problems.append(f"{path}:{n}: <{name}> is not for layer {layer}")
            if m.group(1) == "<":
                continue
            target = next((c for c in (os.path.join(os.path.dirname(path), name), name,
                                       "fuse4fs/" + name, "transport/" + name) if c in where), None)
            if target and where[target] != layer and where[target] not in layers[layer][1]:
                problems.append(f"{path}:{n}: layer {layer} may not use {where[target]} ({name})")
    for p in problems:
        print(p)
    return 1 if problems else 0


sys.exit(main())
