/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SFTP version 3 on the wire: numbers only. All integers are big-endian, a string is a
 * uint32 length and as many bytes, a packet is a uint32 length and as many bytes, of which
 * the first is the type and, except in INIT and VERSION, the next four are the request id.
 * Source: draft-ietf-secsh-filexfer-02; OpenSSH's PROTOCOL, section 4.
 */
#ifndef TRANSPORT_SFTP_FORMAT_H
#define TRANSPORT_SFTP_FORMAT_H

enum {
	SSH_FXP_INIT = 1,
	SSH_FXP_VERSION = 2,
	SSH_FXP_OPEN = 3,
	SSH_FXP_CLOSE = 4,
	SSH_FXP_READ = 5,
	SSH_FXP_WRITE = 6,
	SSH_FXP_LSTAT = 7,
	SSH_FXP_FSTAT = 8,
	SSH_FXP_REMOVE = 13,
	SSH_FXP_RENAME = 18,
	SSH_FXP_STATUS = 101,
	SSH_FXP_HANDLE = 102,
	SSH_FXP_DATA = 103,
	SSH_FXP_NAME = 104,
	SSH_FXP_ATTRS = 105,
	SSH_FXP_EXTENDED = 200,
	SSH_FXP_EXTENDED_REPLY = 201,
};

enum {
	SSH_FX_OK = 0,
	SSH_FX_EOF = 1,
	SSH_FX_NO_SUCH_FILE = 2,
	SSH_FX_PERMISSION_DENIED = 3,
	SSH_FX_FAILURE = 4,
	SSH_FX_BAD_MESSAGE = 5,
	SSH_FX_NO_CONNECTION = 6,
	SSH_FX_CONNECTION_LOST = 7,
	SSH_FX_OP_UNSUPPORTED = 8,
};

enum {
	SSH_FXF_READ = 0x01,
	SSH_FXF_WRITE = 0x02,
	SSH_FXF_CREAT = 0x08,
	SSH_FXF_TRUNC = 0x10,
	SSH_FXF_EXCL = 0x20,
};

enum {
	SSH_FILEXFER_ATTR_SIZE = 0x00000001,
	SSH_FILEXFER_ATTR_UIDGID = 0x00000002,
	SSH_FILEXFER_ATTR_PERMISSIONS = 0x00000004,
	SSH_FILEXFER_ATTR_ACMODTIME = 0x00000008,
};

enum {
	SFTP_VERSION = 3,
	SFTP_HANDLE_MAX = 256,		/* bytes; the draft's own limit */
	SFTP_PATH_MAX = 4096,		/* bytes, ours */
	SFTP_PLAIN_LEN = 32768,		/* read or write that every server allows */
	SFTP_IO_MAX = 128 * 1024,	/* what we ask for at most in one request */
	SFTP_BODY_MAX = 16 * 1024,	/* of a reply other than DATA */
};

#endif
