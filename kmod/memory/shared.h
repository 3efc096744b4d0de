/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_MEMORY_SHARED_H
#define _FISC_MEMORY_SHARED_H

#include <linux/types.h>

struct folio;

/* Largest number of users of a shared frame; a knob. */
extern unsigned int fisc_share_max_users;

struct folio *fisc_shared_find(u64 domain, int nid, u64 hash);
bool fisc_shared_exists(u64 domain, int nid, u64 hash);
void fisc_shared_add(struct folio *folio, u64 domain, u64 hash,
		     unsigned int users);
void fisc_shared_put(struct folio *folio);
void fisc_shared_resize(void);
int fisc_shared_init(void);
void fisc_shared_exit(void);

#endif /* _FISC_MEMORY_SHARED_H */
