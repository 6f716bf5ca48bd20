// SPDX-License-Identifier: GPL-2.0-or-later
/* The sandbox of --probe; see probe_sandbox.h. */
#include "probe_sandbox.h"

#include <errno.h>
#include <stdio.h>

#include "device.h"
#include "options.h"
#include "sandbox_login.h"

int probe_sandbox(const struct options *opt, const struct device *d)
{
	const struct sandbox_login login = {
		.remote = d->remote != NULL, .programs = d->programs, .probing = true,
		.config = opt->ssh_config, .identity = opt->identity, .known_hosts = opt->known_hosts,
	};
	struct sandbox_state state;
	char missing[256];

	if (opt->sandbox == OPT_SANDBOX_NO)
		return 0;
	/* Asks now what stdout is. */
	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	sandbox_login_enter(&login, &state);
	sandbox_describe_missing(&state, missing, sizeof(missing));
	if (!missing[0])
		return 0;
	fprintf(stderr, "fuse4fs: %s: %s%s\n", opt->image, opt->sandbox == OPT_SANDBOX_REQUIRE ?
		"sandbox=require: " : "the sandbox is not complete: ", missing);
	return opt->sandbox == OPT_SANDBOX_REQUIRE ? -EPERM : 0;
}
