/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_H
#define _FISC_SHARE_H

#include <linux/types.h>

struct dentry;
struct folio;
struct kobject;

/* table.c: shared frames by hash */
u64 fisc_share_hash(struct folio *folio);
struct folio *fisc_shared_find(u64 hash);
void fisc_shared_add(struct folio *folio, u64 hash);
void fisc_shared_put(struct folio *folio);

int fisc_shared_init(void);
void fisc_shared_exit(void);

/* scan.c: the thread that finds them */
int fisc_scan_init(struct kobject *parent, struct dentry *debugfs);
void fisc_scan_exit(void);

#endif /* _FISC_SHARE_H */
