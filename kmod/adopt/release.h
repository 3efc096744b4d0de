/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_RELEASE_H
#define _FISC_ADOPT_RELEASE_H

#include <linux/types.h>

struct file;
struct mm_struct;
struct vm_area_struct;

bool fisc_release_is_of(const struct vm_area_struct *vma,
			const struct file *file);
void fisc_release_map(struct vm_area_struct *vma, struct file *empty);
int fisc_release_fill(struct mm_struct *mm, const struct file *file,
		      pgoff_t first, pgoff_t nr);
bool fisc_release_done(struct mm_struct *mm, const struct file *file,
		       pgoff_t first, pgoff_t nr,
		       bool (*busy)(const struct mm_struct *mm,
				    unsigned long start, unsigned long end));
void fisc_release_discard(struct mm_struct *mm, unsigned long start,
			  unsigned long end);
void fisc_release_exit(void);

#endif /* _FISC_ADOPT_RELEASE_H */
