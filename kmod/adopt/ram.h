/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_RAM_H
#define _FISC_ADOPT_RAM_H

#include <linux/types.h>

struct dentry;
struct file;
struct fisc_adoption;
struct fisc_piece;
struct fisc_ram;

int fisc_adopt_pin_fs(void);
void fisc_adopt_release_fs(void);
struct dentry *fisc_adopt_make_dir(const char *name);
void fisc_adopt_unlink(struct dentry *dentry);
struct fisc_ram *fisc_ram_get(struct fisc_adoption *adoption,
			      unsigned long addr,
			      const struct fisc_piece *piece);
struct fisc_ram *fisc_ram_of(struct fisc_adoption *adoption,
			     const struct file *file);
void fisc_ram_free(struct fisc_ram *ram);
void fisc_rams_free(struct fisc_adoption *adoption);

#endif /* _FISC_ADOPT_RAM_H */
