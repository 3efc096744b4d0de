/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_STEP_H
#define _FISC_ADOPT_STEP_H

#include <linux/types.h>

struct file;
struct fisc_adoption;
struct fisc_ram;

void fisc_step_own_file(struct file *file, struct fisc_adoption *adoption);
int fisc_adopt_move(struct fisc_adoption *adoption, const struct fisc_ram *ram,
		    unsigned long addr, unsigned long len);
int fisc_adopt_give_back(struct fisc_adoption *adoption,
			 const struct fisc_ram *ram, unsigned long start,
			 unsigned long end, pgoff_t index, unsigned long prot);

#endif /* _FISC_ADOPT_STEP_H */
