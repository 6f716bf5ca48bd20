// SPDX-License-Identifier: GPL-2.0-or-later
#include "why.h"

#include <stdarg.h>
#include <stdio.h>

void why_say(const struct why *why, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why->text, why->len, fmt, ap);
	va_end(ap);
}
