# SPDX-License-Identifier: GPL-2.0-or-later
"""recipe.py HEADING: the user's commands under that heading of doc/recipes.md, as a script.

A command begins with "$ " in an indented block; lines after it that begin with neither "$ " nor
"# " belong to it. podman(1) is left out: it would fetch an image from a registry.
"""
import os
import re
import sys

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../doc/recipes.md")
sections = re.split(r"^## (.*)\n", open(path).read(), flags=re.M)
text = dict(zip(sections[1::2], sections[2::2]))[sys.argv[1]]
commands, mine = [], False
for line in text.splitlines():
    if not line.startswith("    "):
        mine = False
    elif line.startswith("    $ "):
        commands.append(line[6:])
        mine = True
    elif line.startswith("    # "):
        mine = False
    elif mine:
        commands[-1] += "\n" + line[4:]
commands = [c for c in commands if not c.startswith("podman ")]
if not commands:
    sys.exit(f"{sys.argv[1]}: no commands")
print("\n".join(commands))
