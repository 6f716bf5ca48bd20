/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The judges of the crash tests. */
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

#include "crash_judge.h"
#include "transport/file.h"
#include "unit_image.h"

enum { PATH_LEN = 256, OUTPUT_LEN = 8192, LOOP_TRIES = 50 };

extern char **environ;

static void path_of(const struct judge_place *p, const char *name, char path[PATH_LEN])
{
	snprintf(path, PATH_LEN, "%s/%s", p->dir, name);
}

static uint8_t *map_image(const struct judge_place *p, const char *name)
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

void judge_init(struct judge_place *p, const char *dir, uint64_t size, bool kernel, bool inline_data,
		struct crash_oracle *oracle)
{
	char path[PATH_LEN];

	*p = (struct judge_place){
		.size = size, .kernel = kernel, .inline_data = inline_data, .oracle = oracle,
	};
	snprintf(p->dir, sizeof(p->dir), "%s", dir);
	path_of(p, "mnt", path);
	if ((mkdir(dir, 0700) && errno != EEXIST) || (mkdir(path, 0700) && errno != EEXIST))
		unit_die("%s: %s", dir, strerror(errno));
	p->ours = map_image(p, "ours");
	p->theirs = map_image(p, "theirs");
	p->kernels = map_image(p, "kernels");
}

void judge_fini(struct judge_place *p)
{
	munmap(p->ours, p->size);
	munmap(p->theirs, p->size);
	munmap(p->kernels, p->size);
}

/* -- e2fsck -------------------------------------------------------------------------- */

static int run_fsck(const struct judge_place *p, const char *flags, const char *name,
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

static int must_be_clean(const struct judge_place *p, const char *name, char *why, size_t why_len)
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

/* Recovers where readonly is false and reads the tree. */
static int read_by_us(const struct judge_place *p, const char *name, bool readonly,
		      struct crash_tree *t, char *why, size_t why_len)
{
	struct fs_options opt = { .errors = FS_ERRORS_RO, .readonly = readonly, .log = no_message };
	char path[PATH_LEN], said[256] = "";
	struct blkdev *dev;
	struct fs *fs;
	int err;

	*t = (struct crash_tree){ 0 };
	path_of(p, name, path);
	err = file_dev_open(path, -1, readonly, &dev);
	if (err)
		unit_die("%s: %s", path, strerror(-err));
	err = fs_open(dev, &opt, &fs, said, sizeof(said));
	if (err) {
		blkdev_close(dev);
		snprintf(why, why_len, "%s: does not mount: %s (%s)", name, said, strerror(-err));
		return -1;
	}
	err = crash_tree_of_fs(t, fs, said, sizeof(said));
	if (err)
		snprintf(why, why_len, "%s: %s", name, said);
	if (fs_close(fs) && !err) {
		snprintf(why, why_len, "%s: does not close", name);
		err = -1;
	}
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

static bool is_own_question(const struct judge_place *p, const char *line)
{
	size_t len = strcspn(line, "\n");

	for (size_t i = 0; i < ARRAY_LEN(own_questions); i++)
		if (!strncmp(line, own_questions[i].line, strlen(own_questions[i].line)))
			return (p->inline_data || !own_questions[i].inline_data) && !memchr(line, '+', len);
	return false;
}

/* A question is on the line before "Fix? yes". */
static bool has_repaired(const struct judge_place *p, char *output)
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

/*
 * e2fsck up to 1.47.0 at least takes the checksum of all of a commit block; the kernel and we
 * take what its first sector says. *ret_dropped: the transaction it dropped, 0: none; it skips
 * the orphans then, and asks about them later.
 */
static int recover_by_e2fsck(const struct judge_place *p, struct crash_tree *t, uint32_t *ret_dropped,
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
	return read_by_us(p, "theirs", true, t, why, why_len);
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

static int recover_by_kernel(const struct judge_place *p, struct crash_tree *t, char *why, size_t why_len)
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

/* -- the verdict --------------------------------------------------------------------- */

static int judge_ours(struct judge_place *p, struct crash_tree *ours, size_t cut, char *why,
		      size_t why_len)
{
	if (read_by_us(p, "ours", false, ours, why, why_len) ||
	    crash_oracle_check(p->oracle, ours, cut, why, why_len))
		return -1;
	return must_be_clean(p, "ours", why, why_len);
}

static int judge_kernel(struct judge_place *p, const struct crash_tree *ours, char *why, size_t why_len)
{
	struct crash_tree theirs;
	char what[512];
	int err;

	if (!p->kernel)
		return 0;
	err = recover_by_kernel(p, &theirs, why, why_len);
	if (!err && crash_tree_compare(ours, &theirs, what, sizeof(what))) {
		snprintf(why, why_len, "we and the kernel differ: %s", what);
		err = -1;
	}
	crash_tree_fini(&theirs);
	return err ? err : must_be_clean(p, "kernels", why, why_len);
}

/* It must recover what we do of the image; or, where it drops the last transaction because of
 * a torn commit block, of the variant that has no such block. */
static int judge_e2fsck(struct judge_place *p, const struct crash_tree *ours,
			const struct judge_variant *variant, size_t cut, char *why, size_t why_len)
{
	struct crash_tree theirs, without = { 0 };
	char what[512] = "";
	uint32_t dropped;
	int err = recover_by_e2fsck(p, &theirs, &dropped, why, why_len);

	if (!err && dropped && dropped != variant->tid) {
		snprintf(why, why_len, "e2fsck drops transaction %u", dropped);
		err = -1;
	}
	if (!err && dropped) {
		memcpy(p->ours, variant->image, p->size);
		err = judge_ours(p, &without, cut, why, why_len);
		ours = &without;
	}
	if (!err && crash_tree_compare(ours, &theirs, what, sizeof(what))) {
		snprintf(why, why_len, "we and e2fsck differ%s: %s",
			 dropped ? " without the last transaction" : "", what);
		err = -1;
	}
	crash_tree_fini(&theirs);
	crash_tree_fini(&without);
	return err;
}

int judge(struct judge_place *p, const uint8_t *image, const struct judge_variant *variant, size_t cut,
	  char *why, size_t why_len)
{
	struct crash_tree ours;
	int err;

	memcpy(p->ours, image, p->size);
	memcpy(p->theirs, image, p->size);
	if (p->kernel)
		memcpy(p->kernels, image, p->size);
	err = judge_ours(p, &ours, cut, why, why_len);
	if (!err)
		err = judge_kernel(p, &ours, why, why_len);
	if (!err)
		err = judge_e2fsck(p, &ours, variant, cut, why, why_len);
	crash_tree_fini(&ours);
	return err;
}
