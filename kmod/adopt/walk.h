/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_WALK_H
#define _FISC_ADOPT_WALK_H

struct fisc_adoption;

int fisc_adopt_all(struct fisc_adoption *adoption);
int fisc_adopt_release(struct fisc_adoption *adoption);

#endif /* _FISC_ADOPT_WALK_H */
