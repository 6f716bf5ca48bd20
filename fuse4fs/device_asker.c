// SPDX-License-Identifier: GPL-2.0-or-later
/* Answers for an SSH server; see device_asker.h. */
#include "device_asker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "crypto/secret.h"
#include "terminal.h"

enum { ANSWER_MAX = 1024, ANSWERS_MAX = 32 };

/* What was answered to a prompt. */
struct answer {
	struct answer *next;
	char *prompt;
	char *text;		/* secret memory, ends with a zero byte */
};

struct asker {
	struct answer *answers;
	unsigned n;
	void (*say)(void *arg, const char *line);
	void *say_arg;
};

struct asker *asker_new(void (*say)(void *arg, const char *line), void *arg)
{
	struct asker *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->say = say;
	a->say_arg = arg;
	return a;
}

static void answer_free(struct answer *one)
{
	secret_free(one->text);
	free(one->prompt);
	free(one);
}

void asker_free(struct asker *a)
{
	if (!a)
		return;
	while (a->answers) {
		struct answer *one = a->answers;

		a->answers = one->next;
		answer_free(one);
	}
	free(a);
}

static struct answer *find(struct asker *a, const char *prompt)
{
	struct answer *one = a->answers;

	while (one && strcmp(one->prompt, prompt) != 0)
		one = one->next;
	return one;
}

/* An empty answer to prompt, remembered. A server may invent any number of prompts. */
static struct answer *add(struct asker *a, const char *prompt)
{
	struct answer *one;

	if (a->n == ANSWERS_MAX)
		return NULL;
	one = calloc(1, sizeof(*one));
	if (!one)
		return NULL;
	one->prompt = strdup(prompt);
	one->text = secret_new(ANSWER_MAX + 1);
	if (!one->prompt || !one->text) {
		answer_free(one);
		return NULL;
	}
	one->next = a->answers;
	a->answers = one;
	a->n++;
	return one;
}

static void forget(struct asker *a, struct answer *one)
{
	struct answer **p = &a->answers;

	while (*p != one)
		p = &(*p)->next;
	*p = one->next;
	a->n--;
	answer_free(one);
}

static int secret(void *arg, const char *prompt, bool echo, bool again, bool fresh,
		  const char **ret_answer)
{
	struct asker *a = arg;
	struct answer *one = find(a, prompt);
	size_t len = 0;
	int err;

	if (one && !again) {
		*ret_answer = one->text;
		return 0;
	}
	if (!fresh)
		return -ENOTTY;
	if (!one)
		one = add(a, prompt);
	if (!one)
		return -ENOMEM;
	err = terminal_ask(prompt, echo, one->text, ANSWER_MAX, &len);
	if (err) {
		forget(a, one);
		return err == -ENXIO ? -ENOTTY : -ECANCELED;
	}
	one->text[len] = '\0';
	*ret_answer = one->text;
	return 0;
}

static int confirm(void *arg, const char *text)
{
	char prompt[1024], answer[16];
	size_t len = 0;
	int err;

	snprintf(prompt, sizeof(prompt), "%s (yes/no) ", text);
	for (int i = 0; i < 3; i++) {
		err = terminal_ask(prompt, true, answer, sizeof(answer) - 1, &len);
		if (err == -ENXIO)
			return -ENOTTY;
		if (err && err != -E2BIG)
			return 0;
		answer[err ? 0 : len] = '\0';
		if (!strcasecmp(answer, "yes"))
			return 1;
		if (!strcasecmp(answer, "no"))
			return 0;
		snprintf(prompt, sizeof(prompt), "Please type yes or no: ");
	}
	return 0;
}

static void tell(void *arg, const char *line)
{
	const struct asker *a = arg;

	if (a->say)
		a->say(a->say_arg, line);
}

struct ssh_asker asker_calls(struct asker *a)
{
	return (struct ssh_asker){ .secret = secret, .confirm = confirm, .tell = tell, .arg = a };
}
