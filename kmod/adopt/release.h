/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_RELEASE_H
#define _FISC_ADOPT_RELEASE_H

struct file;
struct fisc_region;
struct mm_struct;
struct vm_area_struct;

bool fisc_release_is_of(const struct vm_area_struct *vma,
			const struct file *file);
void fisc_release_map(struct vm_area_struct *vma, struct file *zero);
int fisc_release_fill(struct mm_struct *mm, struct fisc_region *region,
		      unsigned long start, unsigned long end,
		      unsigned long base);
void fisc_release_exit(void);

#endif /* _FISC_ADOPT_RELEASE_H */
