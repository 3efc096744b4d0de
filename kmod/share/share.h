/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_SHARE_H
#define _FISC_SHARE_H

#include <linux/types.h>

struct dentry;
struct fisc_chunk;
struct fisc_region;
struct folio;
struct kobject;

/* table.c: shared frames by hash */
extern unsigned int fisc_share_max_users;

struct folio *fisc_shared_find(u64 domain, int nid, u64 hash);
bool fisc_shared_exists(u64 domain, int nid, u64 hash);
void fisc_shared_add(struct folio *folio, u64 domain, u64 hash,
		     unsigned int users);
void fisc_shared_put(struct folio *folio);
void fisc_shared_resize(void);

int fisc_shared_init(void);
void fisc_shared_exit(void);

/* scan.c: the threads that find them */
extern unsigned int fisc_share_across_nodes;

bool fisc_share_under_pressure(void);
int fisc_scan_node(void);
void fisc_scan_poke(int nid);
void fisc_scan_chunk(struct fisc_region *region, struct fisc_chunk *chunk);
int fisc_scan_init(struct kobject *parent, struct dentry *debugfs);
void fisc_scan_exit(void);

#endif /* _FISC_SHARE_H */
