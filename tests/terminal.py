# SPDX-License-Identifier: GPL-2.0-or-later
"""A person at a terminal: terminal.py STATUS COMMAND... with pairs of lines on standard input:
what the terminal ends with, and what is typed then. Checks that nothing typed at a prompt
without echo is shown, that there were $SECRETS (1) of those, that all was asked for, and the
exit status. "^C" is the interrupt character. Prints what was shown."""
import os
import pty
import re
import select
import sys
import termios
import time

want, command = int(sys.argv[1]), sys.argv[2:]
lines = sys.stdin.read().splitlines()
talk = list(zip(lines[::2], lines[1::2]))
pid, fd = pty.fork()
if pid == 0:
    os.execv(command[0], command)



def echoes(prompt):
    """Some programs ask before they turn echo off, which drops what was typed until then."""
    patience = time.monotonic() + (30 if re.search("pass(phrase|word)", prompt, re.I) else 0)
    while termios.tcgetattr(fd)[3] & termios.ECHO:
        if time.monotonic() >= patience:
            return True
        time.sleep(0.02)
    return False


shown, secrets, seen = "", [], 0
while True:
    if not select.select([fd], [], [], 100)[0]:
        sys.exit(f"hangs after {shown!r}")
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece.decode(errors="replace")
    if talk and re.search(talk[0][0], shown[seen:]):
        prompt, answer = talk.pop(0)
        seen = len(shown)
        if not echoes(prompt):
            secrets.append(answer)
        os.write(fd, b"\x03" if answer == "^C" else answer.encode() + b"\n")
_, status = os.waitpid(pid, 0)
print(shown)
if os.waitstatus_to_exitcode(status) != want:
    sys.exit(f"status {os.waitstatus_to_exitcode(status)}, not {want}")
if talk:
    sys.exit(f"was not asked {talk[0][0]}")
if any(s in shown for s in secrets if s != "^C"):
    sys.exit("a secret was shown")
if len(secrets) != int(os.environ.get("SECRETS", "1")):
    sys.exit(f"{len(secrets)} prompts without echo")
