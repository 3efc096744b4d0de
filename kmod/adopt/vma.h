/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_VMA_H
#define _FISC_ADOPT_VMA_H

#include <linux/types.h>

#include "adopt/adoption.h"

struct mm_struct;
struct vm_area_struct;

/* Whether shared memory is adopted, too: 0 or 1. */
extern unsigned int fisc_adopt_shared;

enum fisc_adopt_left fisc_vma_refused(struct vm_area_struct *vma);
bool fisc_vma_is_unmergeable(const struct vm_area_struct *vma);
bool fisc_mm_is_watched(struct mm_struct *mm);
bool fisc_mm_has_files(struct mm_struct *mm);
bool fisc_vma_is_of(const struct vm_area_struct *vma, const struct fisc_vm *vm);

#endif /* _FISC_ADOPT_VMA_H */
