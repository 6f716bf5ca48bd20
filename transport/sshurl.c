// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of images on other machines; see sshurl.h. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sshurl.h"

static const char scheme[] = "sftp://";

static int fail(char *why, size_t why_len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char *why, size_t why_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_len, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* Length of "xyz" in "xyz://", or 0. */
static size_t scheme_len(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-");

	return n > 0 && !strncmp(name + n, "://", 3) ? n : 0;
}

/* The colon that ends HOST in the scp form, or NULL. */
static const char *host_end(const char *name)
{
	const char *at = name + strcspn(name, "@/[:"), *p = *at == '@' ? at + 1 : name;

	if (*p == '[') {
		p += strcspn(p, "]/");
		return p[0] == ']' && p[1] == ':' ? p + 1 : NULL;
	}
	p += strcspn(p, ":/");
	return *p == ':' && p > name ? p : NULL;
}

bool sshurl_is_remote(const char *name)
{
	if (!strncmp(name, "fd:", 3))
		return false;
	if (!scheme_len(name) && !host_end(name))
		return false;
	return access(name, F_OK) != 0;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Resolves %XX in place. -EINVAL: not two digits, or a zero byte. */
static int decode(char *s)
{
	char *out = s;

	for (; *s; s++) {
		int high, low;

		if (*s != '%') {
			*out++ = *s;
			continue;
		}
		high = hex_value(s[1]);
		low = high < 0 ? -1 : hex_value(s[2]);
		if (low < 0 || (high | low) == 0)
			return -EINVAL;
		*out++ = (char)(high << 4 | low);
		s += 2;
	}
	*out = '\0';
	return 0;
}

static int copy_part(const char *from, size_t len, bool encoded, char **ret, char *why,
		     size_t why_len)
{
	char *part = strndup(from, len);

	if (!part)
		return -ENOMEM;
	if (encoded && decode(part)) {
		fail(why, why_len, "%.*s: '%%' is followed by two hexadecimal digits, not 00",
		     (int)len, from);
		free(part);
		return -EINVAL;
	}
	*ret = part;
	return 0;
}

static int parse_port(const char *text, size_t len, unsigned *ret, char *why, size_t why_len)
{
	unsigned long n = 0;

	for (size_t i = 0; i < len && n <= 65535; i++)
		n = isdigit((unsigned char)text[i]) ? n * 10 + (unsigned long)(text[i] - '0') : 65536;
	if (len == 0 || n == 0 || n > 65535)
		return fail(why, why_len, "%.*s is not a port (1 to 65535)", (int)len, text);
	*ret = (unsigned)n;
	return 0;
}

/* "HOST" or "[ADDRESS]", len bytes, without a port. */
static int parse_host(const char *text, size_t len, bool encoded, struct sshurl *url, char *why,
		      size_t why_len)
{
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	return copy_part(text, len, encoded, &url->host, why, why_len);
}

static int parse_user(const char *text, size_t len, bool encoded, struct sshurl *url, char *why,
		      size_t why_len)
{
	if (encoded && memchr(text, ':', len))
		return fail(why, why_len, "a password does not belong into a URL, where everybody "
			    "can read it; leave it out to be asked");
	return copy_part(text, len, encoded, &url->user, why, why_len);
}

/* Between "sftp://" and the path. */
static int parse_authority(const char *text, size_t len, struct sshurl *url, char *why,
			   size_t why_len)
{
	const char *end = text + len, *at = memrchr(text, '@', len), *host = at ? at + 1 : text, *p;
	int err = 0;

	if (at)
		err = parse_user(text, (size_t)(at - text), true, url, why, why_len);
	if (err)
		return err;
	p = host < end && *host == '[' ? memchr(host, ']', (size_t)(end - host)) : host;
	if (!p)
		return fail(why, why_len, "%.*s: a '[' without ']'", (int)(end - host), host);
	p = memchr(p, ':', (size_t)(end - p));
	if (p)
		err = parse_port(p + 1, (size_t)(end - p - 1), &url->port, why, why_len);
	if (err)
		return err;
	return parse_host(host, (size_t)((p ? p : end) - host), true, url, why, why_len);
}

static int parse_url(const char *name, struct sshurl *url, char *why, size_t why_len)
{
	const char *text = name + sizeof(scheme) - 1, *path = strchr(text, '/');
	int err;

	if (strncasecmp(name, scheme, sizeof(scheme) - 1) != 0)
		return fail(why, why_len, "%s: only sftp:// is served", name);
	if (!path)
		return fail(why, why_len, "%s: names no file there; sftp://HOST/PATH does", name);
	if (strpbrk(path, "?#"))
		return fail(why, why_len, "%s: '?' and '#' are written %%3F and %%23 in a URL", name);
	err = parse_authority(text, (size_t)(path - text), url, why, why_len);
	if (err)
		return err;
	if (!strncmp(path, "/~/", 3))
		path += 3;
	return copy_part(path, strlen(path), true, &url->path, why, why_len);
}

static int parse_scp(const char *name, struct sshurl *url, char *why, size_t why_len)
{
	const char *colon = host_end(name), *path = colon + 1;
	const char *at = memchr(name, '@', (size_t)(colon - name)), *host = at ? at + 1 : name;
	int err = 0;

	if (at)
		err = parse_user(name, (size_t)(at - name), false, url, why, why_len);
	if (!err)
		err = parse_host(host, (size_t)(colon - host), false, url, why, why_len);
	if (err)
		return err;
	if (!strncmp(path, "~/", 2))
		path += 2;
	return copy_part(path, strlen(path), false, &url->path, why, why_len);
}

static bool is_plain(const char *s, const char *also)
{
	if (!*s || *s == '-')
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(also, *s))
			return false;
	return true;
}

static int check(const char *name, const struct sshurl *url, char *why, size_t why_len)
{
	const size_t len = url->path ? strlen(url->path) : 0;

	if (!url->host || !*url->host)
		return fail(why, why_len, "%s: names no host", name);
	if (!is_plain(url->host, ".-_:%"))
		return fail(why, why_len, "%s: '%s' is not a host's name", name, url->host);
	if (url->user && !is_plain(url->user, ".-_@+=~,\\"))
		return fail(why, why_len, "%s: '%s' is not a user's name", name, url->user);
	if (len == 0 || url->path[len - 1] == '/')
		return fail(why, why_len, "%s: names no file there", name);
	if (url->path[0] == '~')
		return fail(why, why_len, "%s: other users' directories have to be written out", name);
	return 0;
}

int sshurl_parse(const char *name, struct sshurl *ret, char *why, size_t why_len)
{
	struct sshurl url = { 0 };
	int err;

	if (scheme_len(name))
		err = parse_url(name, &url, why, why_len);
	else if (host_end(name))
		err = parse_scp(name, &url, why, why_len);
	else
		err = fail(why, why_len, "%s: is not of the form HOST:PATH", name);
	if (!err)
		err = check(name, &url, why, why_len);
	if (err) {
		sshurl_fini(&url);
		return err;
	}
	*ret = url;
	return 0;
}

void sshurl_fini(struct sshurl *url)
{
	free(url->user);
	free(url->host);
	free(url->path);
	*url = (struct sshurl){ 0 };
}
