// SPDX-License-Identifier: GPL-2.0-or-later
/* nodeid and ino; see ino.h. */
#include <errno.h>

#include "ino.h"

enum { NODEID_ROOT = 1 };

uint64_t ino_to_nodeid(const struct ino_map *map, uint32_t ino)
{
	return ino == map->root ? NODEID_ROOT : ino;
}

int ino_from_nodeid(const struct ino_map *map, uint64_t nodeid, uint32_t *ret_ino)
{
	if (nodeid == NODEID_ROOT) {
		*ret_ino = map->root;
		return 0;
	}
	/* Below a sub-root the image's own root is outside, too. */
	if (nodeid <= INO_EXT4_ROOT || nodeid > UINT32_MAX || nodeid == map->root)
		return -ESTALE;
	*ret_ino = (uint32_t)nodeid;
	return 0;
}
