/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See unit_variants.h. */
#include "unit_image.h"
#include "unit_variants.h"

enum { IMAGE_SIZE = 10 << 20 };

const struct unit_variant unit_variants[UNIT_VARIANTS] = {
	{ "journal",
	  "-t ext4 -b 1024 -m 0 -N 1024 -g 4096 -J size=2 -O metadata_csum,64bit,orphan_file,^inline_data", true },
	{ "list",
	  "-t ext4 -b 1024 -m 0 -N 1024 -g 4096 -J size=2 -O inline_data,^metadata_csum,^64bit,^orphan_file", true },
	{ "bare",
	  "-t ext4 -b 4096 -m 0 -N 1024 -g 4096 -O ^has_journal,metadata_csum,inline_data", false },
	{ "ext2", "-t ext2 -b 1024 -m 0 -N 1024 -g 4096 -I 128", false },
};

struct blkdev *unit_variant_images[UNIT_VARIANTS];

int unit_variants_make(void **state)
{
	for (size_t i = 0; i < UNIT_VARIANTS; i++)
		unit_variant_images[i] = unit_mkfs_populated(IMAGE_SIZE, unit_variants[i].args);
	return 0;
}

int unit_variants_free(void **state)
{
	for (size_t i = 0; i < UNIT_VARIANTS; i++)
		blkdev_close(unit_variant_images[i]);
	return 0;
}
