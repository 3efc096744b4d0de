// SPDX-License-Identifier: GPL-2.0
/*
 * Free adopted memory that the process has unmapped. See DOC: Adopted memory
 * that is unmapped in trim.h.
 */
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "adopt/adoption.h"
#include "adopt/ram.h"
#include "adopt/release.h"
#include "adopt/trim.h"
#include "base/array.h"
#include "memory/hole.h"
#include "memory/region.h"

/* Files that are compared with the mappings at each look. */
#define FISC_TRIM_FILES		16
/* Pages that may be removed with mmap_lock held. */
#define FISC_TRIM_PAGES		(SZ_64M >> PAGE_SHIFT)

/* Pages of a file that are mapped. */
struct fisc_span {
	pgoff_t first;
	pgoff_t last;
};

struct fisc_spans {
	struct fisc_span *spans;
	unsigned int nr;
	unsigned int room;
};

static int fisc_span_cmp(const void *a, const void *b)
{
	const struct fisc_span *l = a, *r = b;

	return l->first < r->first ? -1 : l->first > r->first;
}

/* List what is mapped of a file, in order; mmap_lock held. */
static int fisc_spans_get(struct fisc_spans *list, struct mm_struct *mm,
			  const struct file *file)
{
	struct vm_area_struct *vma;

	VMA_ITERATOR(vmi, mm, 0);

	list->nr = 0;
	for_each_vma(vmi, vma) {
		struct fisc_span *spans;

		if (vma->vm_file != file && !fisc_release_is_of(vma, file))
			continue;
		spans = fisc_array_grow(list->spans, list->nr, &list->room,
					sizeof(*spans));
		if (!spans)
			return -ENOMEM;
		list->spans = spans;
		spans[list->nr++] = (struct fisc_span){
			.first = vma->vm_pgoff,
			.last = vma->vm_pgoff + vma_pages(vma) - 1,
		};
	}
	sort(list->spans, list->nr, sizeof(*list->spans), fisc_span_cmp, NULL);

	return 0;
}

/* Return the first page from @index on that is not mapped. */
static pgoff_t fisc_spans_skip(const struct fisc_spans *list, pgoff_t index)
{
	unsigned int i;

	for (i = 0; i < list->nr && list->spans[i].first <= index; i++)
		index = max(index, list->spans[i].last + 1);

	return index;
}

/* Return the last page of the gap that @index is in. */
static pgoff_t fisc_spans_gap_end(const struct fisc_spans *list, pgoff_t index,
				  pgoff_t end)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		if (list->spans[i].first > index)
			return min(end, list->spans[i].first) - 1;

	return end - 1;
}

/*
 * Remove pages that are not mapped, from *@index on, as many as may be at a
 * time; mmap_lock held. Return: true if there may be more.
 */
static bool fisc_trim_some(struct fisc_region *region,
			   const struct fisc_spans *list, pgoff_t *index)
{
	pgoff_t end = fisc_region_size_pages(region), last;
	unsigned long nr;

	*index = fisc_spans_skip(list, *index);
	/* Most of a gap may be empty. */
	nr = *index >> FISC_CHUNK_SHIFT;
	if (*index >= end || !xa_find(&region->chunks, &nr, ULONG_MAX, XA_PRESENT))
		return false;
	*index = max(*index, (pgoff_t)nr << FISC_CHUNK_SHIFT);
	if (*index >= end)
		return false;
	if (fisc_spans_skip(list, *index) == *index) {
		last = min(fisc_spans_gap_end(list, *index, end),
			   *index + FISC_TRIM_PAGES - 1);
		fisc_region_remove(region, *index, last);
		*index = last + 1;
	}

	return true;
}

/* Return: true if nothing of the file is mapped. */
static bool fisc_trim_file(struct mm_struct *mm, struct fisc_ram *ram)
{
	struct inode *inode = file_inode(ram->file);
	struct fisc_spans list = {};
	bool mapped = true, more;
	pgoff_t index = 0;

	do {
		inode_lock(inode);
		mmap_read_lock(mm);
		more = !fisc_spans_get(&list, mm, ram->file);
		if (more) {
			mapped = list.nr;
			more = mapped && fisc_trim_some(fisc_region_of(inode),
							&list, &index);
		}
		mmap_read_unlock(mm);
		inode_unlock(inode);
		cond_resched();
	} while (more);
	kvfree(list.spans);

	return !mapped;
}

/**
 * fisc_adopt_trim() - free memory that the process has unmapped
 * @adoption: the current thread's adoption
 *
 * Context: may sleep; takes inode locks and mmap_lock.
 */
void fisc_adopt_trim(struct fisc_adoption *adoption)
{
	unsigned int nr;

	if (xchg(&adoption->unmapped, false))
		adoption->to_trim = list_count_nodes(&adoption->rams);
	for (nr = 0; nr < FISC_TRIM_FILES && adoption->to_trim; nr++) {
		struct fisc_ram *ram = list_first_entry(&adoption->rams,
							struct fisc_ram, node);

		if (!mmget_not_zero(adoption->mm))
			return;
		adoption->to_trim--;
		list_move_tail(&ram->node, &adoption->rams);
		if (fisc_trim_file(adoption->mm, ram))
			fisc_ram_free(ram);
		mmput(adoption->mm);
	}
}
