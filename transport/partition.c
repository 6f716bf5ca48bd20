/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Partition tables, parsed by libblkid from a copy.
 *
 * libblkid wants a descriptor and a device may be anything, so it gets a sparse
 * memory file of the device's size with the places where tables are: both ends and
 * the chain of an extended partition. Everything else reads as zeros.
 *
 * The copy also confines libblkid: it sees nothing that was not put there, and a
 * table that would make it allocate much is refused before it looks.
 */
#include <blkid/blkid.h>
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "partition.h"
#include "partition_format.h"

enum {
	END_LEN = 1024 * 1024,	/* bytes copied at each end */
	CHAIN_MAX = 128,	/* links of an extended partition; libblkid stops at 100 */
	GPT_ENTRIES_MAX = 4096,	/* usual are 128 */
	SECTOR = 512,		/* libblkid's unit, whatever the table's */
	LIST_MAX = 16,		/* partitions named in a message */
};

static const unsigned sector_lens[] = { 512, 4096 };

static uint32_t le32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* Compilers see through a macro what a variadic function returns. */
#define fail(err, why, why_len, ...) (explain((why), (why_len), __VA_ARGS__), (err))

static void explain(char *why, size_t why_len, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void explain(char *why, size_t why_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_len, fmt, ap);
	va_end(ap);
}

static int store(int fd, const void *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf = (const char *)buf + n;
		len -= n;
		off += n;
	}
	return 0;
}

static int copy_range(struct blkdev *dev, int fd, void *buf, size_t len, uint64_t off)
{
	int err = blkdev_read(dev, buf, len, off);

	return err ? err : store(fd, buf, len, off);
}

/* buf: END_LEN bytes */
static int copy_ends(struct blkdev *dev, int fd, void *buf)
{
	uint64_t size = blkdev_size(dev);
	int err;

	if (size <= END_LEN)
		return copy_range(dev, fd, buf, size, 0);
	err = copy_range(dev, fd, buf, END_LEN, 0);
	if (err)
		return err;
	return copy_range(dev, fd, buf, END_LEN, size - END_LEN);
}

static bool is_extended(const struct mbr_entry *entry)
{
	return (entry->type == 0x05 || entry->type == 0x0f || entry->type == 0x85) &&
	       le32(entry->nsecs_le32) != 0;
}

static const struct mbr_entry *extended_of(const struct mbr_sector *mbr)
{
	if (mbr->magic[0] != 0x55 || mbr->magic[1] != 0xaa)
		return NULL;
	for (int i = 0; i < 4; i++) {
		if (is_extended(&mbr->entries[i]))
			return &mbr->entries[i];
	}
	return NULL;
}

/* Copies the links of the extended partition. Bounded even when they form a ring. */
static int copy_chain(struct blkdev *dev, int fd, const struct mbr_sector *mbr)
{
	const struct mbr_entry *link = extended_of(mbr);
	uint64_t base_sec = link ? le32(link->start_sec_le32) : 0;
	uint64_t sec = base_sec;
	struct mbr_sector ebr;

	for (int i = 0; link && i < CHAIN_MAX; i++) {
		int err;

		if ((sec + 1) * MBR_SECTOR_LEN > blkdev_size(dev))
			break;
		err = copy_range(dev, fd, &ebr, sizeof(ebr), sec * MBR_SECTOR_LEN);
		if (err)
			return err;
		link = extended_of(&ebr);
		if (link)
			sec = base_sec + le32(link->start_sec_le32);
	}
	return 0;
}

static bool gpt_at_is_huge(int fd, uint64_t off)
{
	struct gpt_header h;

	if (pread(fd, &h, sizeof(h), off) != sizeof(h) || memcmp(h.magic, "EFI PART", 8) != 0)
		return false;
	return le32(h.nentries_le32) > GPT_ENTRIES_MAX || le32(h.entry_len_le32) != GPT_ENTRY_LEN;
}

/* libblkid reads as many entries as a header says, and looks at just these headers. */
static bool has_huge_gpt(int fd, uint64_t size)
{
	for (size_t i = 0; i < sizeof(sector_lens) / sizeof(sector_lens[0]); i++) {
		uint64_t unit = sector_lens[i];

		if (size / unit < 3)
			continue;
		if (gpt_at_is_huge(fd, unit) || gpt_at_is_huge(fd, (size / unit - 1) * unit))
			return true;
	}
	return false;
}

/*
 * libblkid looks for a table of its own in partitions of some types (Solaris, which is also
 * Linux swap, BSD, Minix, UnixWare), and gives the whole disk up when such a one reaches
 * beyond its end. In the copy those are plain.
 */
static int plain_if_cut(int fd, const struct mbr_sector *mbr, uint64_t size)
{
	static const uint8_t plain = 0x83;
	int err = 0;

	for (int i = 0; i < 4 && !err; i++) {
		const struct mbr_entry *e = &mbr->entries[i];
		const uint64_t end = (uint64_t)le32(e->start_sec_le32) + le32(e->nsecs_le32);

		if (e->type && e->type != MBR_TYPE_GPT && !is_extended(e) && end > size / SECTOR)
			err = store(fd, &plain, 1, offsetof(struct mbr_sector, entries[i].type));
	}
	return err;
}

/* A memory file that looks like dev to a table parser; ret_mbr: its first sector. */
static int snapshot(struct blkdev *dev, struct mbr_sector *ret_mbr, int *ret_fd)
{
	int err, fd = memfd_create("partitions", MFD_CLOEXEC);
	void *buf;

	if (fd < 0)
		return -errno;
	buf = malloc(END_LEN);
	err = buf ? 0 : -ENOMEM;
	if (!err && ftruncate(fd, blkdev_size(dev)) < 0)
		err = -errno;
	if (!err)
		err = copy_ends(dev, fd, buf);
	free(buf);
	if (!err && pread(fd, ret_mbr, sizeof(*ret_mbr), 0) != sizeof(*ret_mbr))
		err = -EIO;
	if (!err)
		err = copy_chain(dev, fd, ret_mbr);
	if (!err)
		err = plain_if_cut(fd, ret_mbr, blkdev_size(dev));
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* A probe that has found a GPT or MBR, or NULL. */
static blkid_probe probe(int fd, unsigned sector_len)
{
	char *types[] = { (char *)"gpt", (char *)"dos", NULL };
	blkid_probe pr = blkid_new_probe();

	if (!pr)
		return NULL;
	if (blkid_probe_set_device(pr, fd, 0, 0) == 0 &&
	    blkid_probe_set_sectorsize(pr, sector_len) == 0 &&
	    blkid_probe_enable_superblocks(pr, 0) == 0 &&
	    blkid_probe_enable_partitions(pr, 1) == 0 &&
	    blkid_probe_filter_partitions_type(pr, BLKID_FLTR_ONLYIN, types) == 0 &&
	    blkid_probe_get_partitions(pr))
		return pr;
	blkid_free_probe(pr);
	return NULL;
}

static bool is_protective(const struct mbr_sector *mbr)
{
	if (mbr->magic[0] != 0x55 || mbr->magic[1] != 0xaa)
		return false;
	for (int i = 0; i < 4; i++) {
		if (mbr->entries[i].type == MBR_TYPE_GPT)
			return true;
	}
	return false;
}

static int find_table(int fd, const struct mbr_sector *mbr, uint64_t size, char *why,
		      size_t why_len, blkid_probe *ret)
{
	blkid_probe pr;

	if (has_huge_gpt(fd, size))
		return fail(-EUCLEAN, why, why_len,
			    "has a GUID partition table of impossible size; repair it");
	pr = probe(fd, 512);
	/* An MBR counts in units that only its disk knows; a GPT says where it lies. */
	if (!pr && is_protective(mbr))
		pr = probe(fd, 4096);
	if (!pr && is_protective(mbr))
		return fail(-EUCLEAN, why, why_len,
			    "has a damaged GUID partition table, or is cut short; repair it "
			    "or give offset=");
	if (!pr)
		return fail(-ENODATA, why, why_len,
			    "has no partition table; mount it without partition=");
	*ret = pr;
	return 0;
}

static int no_such_partition(blkid_partlist list, unsigned number, char *why, size_t why_len)
{
	int n = blkid_partlist_numof_partitions(list);
	char numbers[LIST_MAX * 8 + 8] = "";
	size_t used = 0;

	for (int i = 0; i < n && i < LIST_MAX; i++) {
		blkid_partition part = blkid_partlist_get_partition(list, i);

		used += snprintf(numbers + used, sizeof(numbers) - used, "%s%d", i ? ", " : "",
				 part ? blkid_partition_get_partno(part) : 0);
		if (used >= sizeof(numbers))
			break;
	}
	if (n <= 0)
		return fail(-ENOENT, why, why_len,
			    "has no partition %u: its partition table is empty", number);
	return fail(-ENOENT, why, why_len, "has no partition %u, only %d: %s%s", number, n,
		    numbers, n > LIST_MAX ? ", ..." : "");
}

static int range_of(blkid_probe pr, unsigned number, uint64_t size, char *why, size_t why_len,
		    uint64_t *ret_off, uint64_t *ret_len)
{
	blkid_partlist list = blkid_probe_get_partitions(pr);
	blkid_partition part;
	uint64_t start, len;

	if (!list)
		return fail(-ENOMEM, why, why_len, "could not be searched: out of memory");
	part = blkid_partlist_get_partition_by_partno(list, number);
	if (!part)
		return no_such_partition(list, number, why, why_len);
	if (blkid_partition_is_extended(part))
		return fail(-ENOENT, why, why_len,
			    "has nothing but logical partitions, numbered from 5, in partition %u",
			    number);
	start = blkid_partition_get_start(part);
	len = blkid_partition_get_size(part);
	if (start > size / SECTOR || len > size / SECTOR - start || len == 0)
		return fail(-ERANGE, why, why_len,
			    "ends before its partition %u (sectors %llu to %llu) does: the copy "
			    "is not complete", number, (unsigned long long)start,
			    (unsigned long long)start + len);
	*ret_off = start * SECTOR;
	*ret_len = len * SECTOR;
	return 0;
}

static void copy_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

static void fill_entry(blkid_partition part, uint64_t size, struct partition_entry *e)
{
	const uint64_t nsecs = size / SECTOR;
	const uint64_t start = (uint64_t)blkid_partition_get_start(part);
	const uint64_t len = (uint64_t)blkid_partition_get_size(part);
	const char *type = blkid_partition_get_type_string(part);

	*e = (struct partition_entry){
		.number = (unsigned)blkid_partition_get_partno(part),
		.extended = blkid_partition_is_extended(part),
		.outside = start > nsecs || len > nsecs - start,
		.off = start * SECTOR, .len = len * SECTOR,
	};
	if (type)
		copy_text(e->type, sizeof(e->type), type);
	else
		snprintf(e->type, sizeof(e->type), "0x%02x",
			 (unsigned)blkid_partition_get_type(part));
	copy_text(e->name, sizeof(e->name), blkid_partition_get_name(part));
	copy_text(e->uuid, sizeof(e->uuid), blkid_partition_get_uuid(part));
}

static int list_all(blkid_probe pr, uint64_t size, struct partition_table *ret, char *why,
		    size_t why_len)
{
	blkid_partlist list = blkid_probe_get_partitions(pr);
	blkid_parttable table;
	int n;

	if (!list)
		return fail(-ENOMEM, why, why_len, "could not be searched: out of memory");
	*ret = (struct partition_table){ .nentries = 0 };
	table = blkid_partlist_get_table(list);
	copy_text(ret->type, sizeof(ret->type), table ? blkid_parttable_get_type(table) : NULL);
	copy_text(ret->uuid, sizeof(ret->uuid), table ? blkid_parttable_get_id(table) : NULL);
	n = blkid_partlist_numof_partitions(list);
	for (int i = 0; i < n; i++) {
		blkid_partition part = blkid_partlist_get_partition(list, i);

		if (part && ret->nentries < PARTITION_LIST_MAX)
			fill_entry(part, size, &ret->entries[ret->nentries++]);
		else
			ret->nleft_out++;
	}
	return 0;
}

/* A probe that has parsed the table of dev, and the copy it works on. */
static int open_table(struct blkdev *dev, char *why, size_t why_len, blkid_probe *ret_pr,
		      int *ret_fd)
{
	struct mbr_sector mbr = { 0 };
	int err, fd = -1;

	if (blkdev_size(dev) < 3 * MBR_SECTOR_LEN)
		return fail(-ENODATA, why, why_len, "is too small for a partition table");
	err = snapshot(dev, &mbr, &fd);
	if (err)
		return fail(err, why, why_len, "could not be searched for partitions: %s",
			    strerror(-err));
	err = find_table(fd, &mbr, blkdev_size(dev), why, why_len, ret_pr);
	if (err)
		close(fd);
	else
		*ret_fd = fd;
	return err;
}

int partition_list(struct blkdev *dev, struct partition_table *ret, char *why, size_t why_len)
{
	blkid_probe pr;
	int fd, err = open_table(dev, why, why_len, &pr, &fd);

	if (err)
		return err;
	err = list_all(pr, blkdev_size(dev), ret, why, why_len);
	blkid_free_probe(pr);
	close(fd);
	return err;
}

int partition_find(struct blkdev *dev, unsigned number, char *why, size_t why_len,
		   uint64_t *ret_off, uint64_t *ret_len)
{
	blkid_probe pr;
	int err, fd;

	if (number == 0 || number > INT32_MAX)
		return fail(-ENOENT, why, why_len, "has no partition %u: they count from 1",
			    number);
	err = open_table(dev, why, why_len, &pr, &fd);
	if (err)
		return err;
	err = range_of(pr, number, blkdev_size(dev), why, why_len, ret_off, ret_len);
	blkid_free_probe(pr);
	close(fd);
	return err;
}
