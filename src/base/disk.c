#include "base/disk.h"

#include <stddef.h>
#include <sys/types.h>

#include <fts.h>
#include <sys/stat.h>

struct disk_use disk_use(const char *dir)
{
	char *const paths[] = { (char *)(uintptr_t)dir, NULL };
	struct disk_use sum = { 0, 0 };
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV, NULL);
	const FTSENT *f;

	while (tree != NULL && (f = fts_read(tree)) != NULL) {
		if (f->fts_info != FTS_F && f->fts_info != FTS_D)
			continue;
		sum.allocated += (uint64_t)f->fts_statp->st_blocks * 512;
		if (f->fts_info == FTS_F)
			sum.size += (uint64_t)f->fts_statp->st_size;
	}
	if (tree != NULL)
		(void)fts_close(tree);
	return sum;
}
