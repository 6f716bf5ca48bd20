# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks #include lines against the tables in ARCHITECTURE.md ("Layers").

A row of the first table is | layer | files | may use |, where only layers of earlier rows
may be used; a row of the second | foreign headers | layers | never together with |, where
what an included file includes counts, too. Files and headers are shell patterns.
"""
import fnmatch
import glob
import os
import re
import sys

DIRS = ("transport", "crypto", "fuse4fs")
GENERATED = {"config.h"}


def table(text, title):
    """Rows (lists of cells) of the first markdown table below a heading."""
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


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, p) for p in patterns)


class Tree:
    """The sources, and what each includes: (line, name, path in the tree or None)."""

    def __init__(self):
        self.files = sorted(f for d in DIRS for f in glob.glob(d + "/*.[ch]"))
        self.includes = {f: list(self.scan(f)) for f in self.files}

    def scan(self, path):
        for n, line in enumerate(open(path, encoding="utf-8"), 1):
            m = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if m:
                yield n, m.group(2), self.resolve(path, m.group(2)) if m.group(1) == '"' else None

    def resolve(self, path, name):
        tried = [os.path.dirname(path), ".", "fuse4fs", "transport"]
        found = [os.path.normpath(os.path.join(d, name)) for d in tried]
        return next((f for f in found if f in self.files), name)

    def foreign(self, path, seen):
        """Headers from outside the tree that path sees, however far away."""
        seen.add(path)
        for _, name, inside in self.includes.get(path, []):
            if inside is None:
                yield name
            elif inside not in seen:
                yield from self.foreign(inside, seen)


def check_layers(tree, rows):
    order = [r[0] for r in rows]
    uses = {r[0]: words(r[2]) for r in rows}
    for layer in order:
        for used in uses[layer]:
            if used not in order[:order.index(layer)]:
                yield f"layer {layer} may use {used}, which is not below it"
    where = {}
    for path in tree.files:
        hits = [r[0] for r in rows if matches(path, words(r[1]))]
        if len(hits) != 1:
            yield f"{path}: in {len(hits)} layers of the table: {hits}"
        where[path] = hits[0] if hits else None
    for path, layer in where.items():
        for n, name, inside in tree.includes[path]:
            if inside is None or name in GENERATED:
                continue
            if inside not in where:
                yield f"{path}:{n}: no such file in the tree: {name}"
            elif where[inside] != layer and where[inside] not in uses.get(layer, []):
                yield f"{path}:{n}: layer {layer} may not use {where[inside]} ({name})"
    for r in rows:
        for pattern in words(r[1]):
            if not pattern.startswith("crypto/") and not fnmatch.filter(tree.files, pattern):
                yield f"layer {r[0]}: nothing matches {pattern}"


def check_foreign(tree, rows, layers):
    where = {f: r[0] for r in layers for f in tree.files if matches(f, words(r[1]))}
    for path in tree.files:
        seen = set(tree.foreign(path, set()))
        for headers, allowed, never in (map(words, r) for r in rows):
            hits = [h for h in seen if matches(h, headers)]
            if hits and where.get(path) not in allowed:
                yield f"{path}: {hits[0]} is not for layer {where.get(path)}"
            if hits and any(matches(h, never) for h in seen):
                yield f"{path}: sees both {hits[0]} and {' '.join(never)}"


def main():
    text = open("ARCHITECTURE.md", encoding="utf-8").read()
    tree = Tree()
    layers = table(text, "Layers")
    problems = list(check_layers(tree, layers))
    problems += check_foreign(tree, table(text, "Foreign headers"), layers)
    for p in problems:
        print(p)
    return 1 if problems else 0


sys.exit(main())
