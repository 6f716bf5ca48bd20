# SPDX-License-Identifier: GPL-2.0-or-later
"""without_call.py NUMBER PROGRAM [ARG...]: runs it on a kernel that lacks that system call."""
import ctypes
import os
import struct
import sys

ENOSYS = 38
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06
RET_ERRNO, RET_ALLOW = 0x00050000, 0x7FFF0000
PR_SET_SECCOMP, MODE_FILTER = 22, 2


def instruction(code, jump_true, jump_false, k):
    return struct.pack("=HBBI", code, jump_true, jump_false, k)


program = b"".join((
    instruction(BPF_LD_W_ABS, 0, 0, 0),
    instruction(BPF_JEQ_K, 0, 1, int(sys.argv[1])),
    instruction(BPF_RET_K, 0, 0, RET_ERRNO | ENOSYS),
    instruction(BPF_RET_K, 0, 0, RET_ALLOW),
))
buf = ctypes.create_string_buffer(program)


class Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_SECCOMP, MODE_FILTER,
              ctypes.byref(Filter(len(program) // 8, ctypes.addressof(buf))), 0, 0):
    sys.exit("no filter: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
