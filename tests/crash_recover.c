/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Recoveries of the crash tests: ours, e2fsck's, the kernel's. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crash_recover.h"
#include "dev_record.h"
#include "transport/file.h"
#include "unit_image.h"

enum { PATH_LEN = 256, OUTPUT_LEN = 8192, LOOP_TRIES = 50 };

extern char **environ;

static void path_of(const struct recover_place *p, const char *name, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "%s/%s", p->dir, name);
}

static uint8_t *map_image(const struct recover_place *p, const char *name)
{
	char path[PATH_LEN];
	uint8_t *map;
	int fd;

	path_of(p, name, path);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)p->size))
		unit_die("%s: %s", path, strerror(errno));
	map = mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		unit_die("%s: %s", path, strerror(errno));
	close(fd);
	return map;
}

void recover_place_init(struct recover_place *p, const char *dir, uint64_t size, bool kernel,
			bool inline_data)
{
	char path[PATH_LEN];

	*p = (struct recover_place){ .size = size, .kernel = kernel, .inline_data = inline_data };
	snprintf(p->dir, sizeof(p->dir), "%s", dir);
	path_of(p, "mnt", path);
	if ((mkdir(dir, 0700) && errno != EEXIST) || (mkdir(path, 0700) && errno != EEXIST))
		unit_die("%s: %s", dir, strerror(errno));
	p->ours = map_image(p, "ours");
	p->theirs = map_image(p, "theirs");
	p->kernels = map_image(p, "kernels");
}

void recover_place_fini(struct recover_place *p)
{
	munmap(p->ours, p->size);
	munmap(p->theirs, p->size);
	munmap(p->kernels, p->size);
}

/* -- e2fsck -------------------------------------------------------------------------- */

static int run_fsck(const struct recover_place *p, const char *flags, const char *name,
		    char output[OUTPUT_LEN])
{
	char image[PATH_LEN], out[PATH_LEN];
	char *argv[] = {
		(char *)"e2fsck", (char *)flags, (char *)"-E", (char *)"no_optimize_extents", image, NULL,
	};
	posix_spawn_file_actions_t actions;
	int status, err, fd;
	ssize_t n;
	pid_t pid;

	path_of(p, name, image);
	path_of(p, "output", out);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err)
		unit_die("e2fsck: %s", strerror(err));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			unit_die("wait: %s", strerror(errno));
	fd = open(out, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, output, OUTPUT_LEN - 1);
	output[MAX(n, (ssize_t)0)] = '\0';
	close(fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int recover_is_clean(const struct recover_place *p, const char *name, char *why, size_t why_len)
{
	char output[OUTPUT_LEN];

	if (!run_fsck(p, "-fn", name, output))
		return 0;
	snprintf(why, why_len, "%s: not clean after the recovery: %.300s", name, output);
	return -1;
}

/* -- recoveries ---------------------------------------------------------------------- */

static void no_message(void *arg, enum fs_log level, const char *line)
{
}

static int open_and_read(struct blkdev *dev, const struct fs_options *opt, struct crash_tree *t,
			 char *why, size_t why_len)
{
	char said[256] = "";
	struct fs *fs;
	int err = fs_open(dev, opt, &fs, said, sizeof(said));

	if (err) {
		snprintf(why, why_len, "does not mount: %s (%s)", said, strerror(-err));
		return -1;
	}
	err = crash_tree_of_fs(t, fs, why, why_len);
	if (fs_close(fs) && !err) {
		snprintf(why, why_len, "does not close");
		err = -1;
	}
	return err;
}

int recover_by_us(const struct recover_place *p, const char *name, bool readonly,
		  struct blkdev **ret_record, struct crash_tree *t, char *why, size_t why_len)
{
	struct fs_options opt = { .errors = FS_ERRORS_RO, .readonly = readonly, .log = no_message };
	char path[PATH_LEN], said[512] = "";
	struct blkdev *dev;
	int err;

	*t = (struct crash_tree){ 0 };
	path_of(p, name, path);
	err = file_dev_open(path, -1, readonly, &dev);
	if (!err && ret_record)
		err = dev_record_open(dev, true, &dev);
	if (err)
		unit_die("%s: %s", path, strerror(-err));
	err = open_and_read(dev, &opt, t, said, sizeof(said));
	if (err)
		snprintf(why, why_len, "%s%s: %s", name, readonly ? ", read-only" : "", said);
	if (ret_record)
		*ret_record = dev;
	else
		blkdev_close(dev);
	return err;
}

/*
 * e2fsck replays and deletes orphans without asking; a question is damage, but for what it
 * asks about its own work, also when the kernel wrote the image: the orphan
 * file's blocks with orphans it has deleted, and that it was in use; and the attribute block of an orphan with inline data, which
 * it forgets to free (1.47.0). What it makes of them is compared like everything.
 */
static const struct {
	const char *line;
	bool inline_data;
} own_questions[] = {
	{ "Orphan file (inode ", false },
	{ "Feature orphan_present is set but orphan file is clean.", false },
	{ "Block bitmap differences:  -", true },
	{ "Free blocks count wrong", true },
};

static bool is_own_question(const struct recover_place *p, const char *line)
{
	size_t len = strcspn(line, "\n");

	for (size_t i = 0; i < ARRAY_LEN(own_questions); i++)
		if (!strncmp(line, own_questions[i].line, strlen(own_questions[i].line)))
			return (p->inline_data || !own_questions[i].inline_data) && !memchr(line, '+', len);
	return false;
}

/* A question is on the line before "Fix? yes". */
static bool has_repaired(const struct recover_place *p, char *output)
{
	const char *before = "";
	char *rest = NULL;

	for (char *line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strstr(line, "? yes") && !is_own_question(p, before))
			return true;
		before = line;
	}
	return false;
}

/* When it drops a transaction it skips the orphans and asks about them later. */
int recover_by_e2fsck(const struct recover_place *p, struct crash_tree *t, uint32_t *ret_dropped,
		      char *why, size_t why_len)
{
	char output[OUTPUT_LEN], copy[OUTPUT_LEN];
	int status = run_fsck(p, "-fy", "theirs", output);
	const char *drops = strstr(output, "Journal transaction ");

	memcpy(copy, output, sizeof(copy));
	*t = (struct crash_tree){ 0 };
	*ret_dropped = 0;
	if (drops)
		sscanf(drops, "Journal transaction %u was corrupt, replay was aborted", ret_dropped);
	if ((status & ~1) || (!*ret_dropped && has_repaired(p, copy))) {
		snprintf(why, why_len, "e2fsck -fy repairs (%d): %.600s", status, output);
		return -1;
	}
	return recover_by_us(p, "theirs", true, NULL, t, why, why_len);
}

/* A loop device that goes with its last user. Its descriptor and name, or -1. */
static int attach(const char *image, char name[32])
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), fd = -1;

	config.fd = (uint32_t)open(image, O_RDWR | O_CLOEXEC);
	for (unsigned i = 0; control >= 0 && i < LOOP_TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(name, 32, "/dev/loop%d", number);
		fd = number < 0 ? -1 : open(name, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && !ioctl(fd, LOOP_CONFIGURE, &config))
			break;
		/* Somebody else was faster. */
		if (fd >= 0)
			close(fd);
		fd = -1;
		usleep(2000);
	}
	close((int)config.fd);
	if (control >= 0)
		close(control);
	return fd;
}

int recover_by_kernel(const struct recover_place *p, struct crash_tree *t, char *why, size_t why_len)
{
	char image[PATH_LEN], mnt[PATH_LEN], loop[32];
	int fd, err;

	*t = (struct crash_tree){ 0 };
	path_of(p, "kernels", image);
	path_of(p, "mnt", mnt);
	fd = attach(image, loop);
	if (fd < 0)
		unit_die("no loop device: %s", strerror(errno));
	err = mount(loop, mnt, "ext4", MS_NOATIME, "errors=remount-ro,noinit_itable");
	if (err)
		snprintf(why, why_len, "the kernel does not mount it: %s", strerror(errno));
	close(fd);
	if (err)
		return -1;
	err = crash_tree_of_dir(t, mnt, why, why_len);
	for (unsigned i = 0; umount(mnt); i++) {
		if (errno != EBUSY || i > LOOP_TRIES)
			unit_die("umount %s: %s", mnt, strerror(errno));
		usleep(20000);
	}
	return err;
}
