/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_FS_RELEASED_H
#define _FISC_FS_RELEASED_H

#include <linux/types.h>

struct file;

struct file *fisc_released_file(void);
bool fisc_released_is(const struct file *file);

#endif /* _FISC_FS_RELEASED_H */
