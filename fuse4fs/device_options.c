// SPDX-License-Identifier: GPL-2.0-or-later
/* From the command line to the device; see device_options.h. */
#include "device_options.h"

#include "options.h"

struct device_unlock_options device_unlock_options(const struct options *o)
{
	return (struct device_unlock_options){
		.nocrypt = o->nocrypt, .header = o->header, .keyfile = o->keyfile,
		.keyfile_off = o->keyfile_off, .keyfile_len = o->keyfile_len,
		.passfd = o->has_passfd ? (int)o->passfd : -1,
		.one_keyslot = o->has_keyslot, .keyslot = (int)o->keyslot,
		.allow_discards = o->allow_discards, .kdf_memory = o->kdf_memory,
		.kdf_cost = o->kdf_cost, .kdf_iterations = o->kdf_iterations,
	};
}

struct device_remote_options device_remote_options(const struct options *o)
{
	static const enum ssh_unknown_host unknown[] = {
		[OPT_HOSTKEY_ASK] = SSH_UNKNOWN_ASK, [OPT_HOSTKEY_YES] = SSH_UNKNOWN_REFUSE,
		[OPT_HOSTKEY_ACCEPT_NEW] = SSH_UNKNOWN_ADD, [OPT_HOSTKEY_NO] = SSH_UNKNOWN_ADD,
	};

	return (struct device_remote_options){
		.port = (unsigned)o->port, .ssh_config = o->ssh_config, .identity = o->identity,
		.known_hosts = o->known_hosts, .ciphers = o->ciphers,
		.unknown_host = unknown[o->hostkey], .ssh_command = o->ssh_command,
		.unsafe_nofsync = o->unsafe_nofsync, .break_lock = o->lock == OPT_LOCK_BREAK,
		.has_timeout = o->has_timeout, .timeout_s = (unsigned)o->timeout_sec,
		.deadline_s = (unsigned)o->deadline_sec, .channels = (unsigned)o->channels,
		.buffer_len = o->sftp_buffer,
	};
}
