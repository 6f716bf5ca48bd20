# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents say what the tables in the code say.

- every option of fuse4fs/options_table.c with a description is in man/fuse4fs.1 as
  `.B name` or `.BI name= ...`, and every option of the man page's list is in the table;
- every option that is accepted without effect, or refused by name, is named there, too;
- every flag that fuse4fs/options.c takes is in the man page's list and in --help (but for
  those that stand for a long one, and umount(8)'s), and every flag there is taken;
- every feature of fuse4fs/feature.c is in README.md's table, served the same way.
"""
import re
import sys

problems = []
src = open("fuse4fs/options_table.c").read()
documented = set(re.findall(r'SET\("([^"]+)"', src))
documented |= set(re.findall(r'\.name = "([^"]+)"', src))
man = open("man/fuse4fs.1").read().replace("\\-", "-")
part = man.split(".SS Mount options", 1)[-1].split("\n.SH", 1)[0]
listed = set(re.findall(r'^\.TP\n\.BR? "?([A-Za-z_-]+)', part, re.M))
listed |= set(re.findall(r'^\.TP\n\.BI "?([A-Za-z_-]+)=', part, re.M))
listed |= set(re.findall(r'^\.TQ\n\.BR? "?([A-Za-z_-]+)', part, re.M))
for name in sorted(documented - listed):
    problems.append(f"man/fuse4fs.1: option {name} is missing")
for name in sorted(listed - documented):
    problems.append(f"man/fuse4fs.1: option {name} does not exist")

def listed_after(sentence):
    """The names in the parentheses behind it."""
    return {name.rstrip("*=") for name in re.split(r"[,\s]+", re.search(sentence + r"\s+\(([^)]*)\)", man)[1])}


ignored = listed_after(r"Options that mount\(8\) leaves in the list") | listed_after("Options that change nothing")
inert = set(re.findall(r'\b(?:IGNORED|PREFIX)\("([^"]+)"\)', src))
for name in sorted(ignored ^ inert):
    problems.append(f"options without effect: {name} is only in "
                    + ("the man page" if name in ignored else "the table"))
for name in sorted(listed_after("Options that are refused by name, each with its reason")
                   ^ set(re.findall(r'\bREFUSED\("([^"]+)"', src))):
    problems.append(f"options that are refused: {name} is only in the man page or the table")

code = open("fuse4fs/options.c").read()
long_table = code.split("long_options[] = {", 1)[1].split("};", 1)[0]
taken = {"--" + name for name in re.findall(r'{ "([a-z-]+)"', long_table)}
taken |= {"-" + c for c in re.search(r'getopt_long\(argc, argv, "[:+]*([^"]+)"', code)[1] if c != ":"}
top = man.split("\n.SH OPTIONS", 1)[-1].split("\n.SS", 1)[0]
tags = re.findall(r'^\.(?:TP|TQ)\n(.*)', top, re.M)
told = set(re.findall(r'(?<![\w-])--?[A-Za-z][a-z-]*', " ".join(re.sub(r"\\f[A-Z]", " ", t) for t in tags)))
shown = set(re.findall(r'(?<![\w-])--?[A-Za-z][a-z-]*(?= |,|\\n)', "\n".join(
    row.split("  ")[1] + " " for row in re.findall(r'"(  -[^"]*)"', open("fuse4fs/options_help.c").read()))))
shown |= {"--help", "--version"}
shown |= {"-h", "-V", "-F"} & taken
for place, names in (("man/fuse4fs.1", told), ("--help", shown)):
    for name in sorted(taken - names):
        problems.append(f"{place}: {name} is missing")
    for name in sorted(names - taken):
        problems.append(f"{place}: {name} does not exist")

features = {}
text = open("fuse4fs/feature.c").read()
for kind, name in re.findall(r'\b(RW|RO|REFUSED)\(\w+, \w+,\s*"([^"]+)"', text):
    features[name] = {"RW": "rw", "RO": "ro", "REFUSED": "refused"}[kind]
rows = re.findall(r'^\| ([^|]+) \| (rw|ro|refused) \|', open("README.md").read(), re.M)
said = {n.strip("` "): how for names, how in rows for n in names.split(",")}
for name, how in sorted(features.items()):
    if said.get(name) != how:
        problems.append(f"README.md: feature {name} is {how} in the code, {said.get(name)} in the table")
for p in problems:
    print(p)
sys.exit(1 if problems else 0)
