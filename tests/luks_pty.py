# SPDX-License-Identifier: GPL-2.0-or-later
"""A person at a terminal: luks_pty.py STATUS KEYS COMMAND...

Runs COMMAND on a pseudo-terminal of its own and answers each "Enter passphrase" with the next
of KEYS (separated by "|"; "^C" is the interrupt character). Checks that nothing typed is
shown, that echo is off at each prompt and on in the end, and the exit status. Prints what
the terminal showed.
"""
import os
import pty
import select
import sys
import termios
import time

want, keys, command = int(sys.argv[1]), sys.argv[2].split("|"), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(command[0], command)


def echo():
    return bool(termios.tcgetattr(fd)[3] & termios.ECHO)


shown, prompts, deadline = b"", 0, time.monotonic() + 60
while True:
    if not select.select([fd], [], [], max(0, deadline - time.monotonic()))[0]:
        sys.exit(f"hangs after {shown!r}")
    try:
        piece = os.read(fd, 4096)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    if shown.count(b"Enter passphrase for ") > prompts and shown.endswith(b": "):
        prompts += 1
        if echo():
            sys.exit("echo is on at the prompt")
        if not keys:
            sys.exit("one prompt too many")
        key = keys.pop(0)
        os.write(fd, b"\x03" if key == "^C" else key.encode() + b"\n")
_, status = os.waitpid(pid, 0)
text = shown.decode(errors="replace")
print(text)
if os.waitstatus_to_exitcode(status) != want:
    sys.exit(f"status {os.waitstatus_to_exitcode(status)}, not {want}")
if keys:
    sys.exit(f"never asked for {keys}")
for key in sys.argv[2].split("|"):
    if key != "^C" and key in text:
        sys.exit("what was typed was shown")
