/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _FISC_ADOPT_DRAIN_H
#define _FISC_ADOPT_DRAIN_H

int fisc_drain_init(void);
void fisc_drain_exit(void);
void fisc_drain_lru(void);

#endif /* _FISC_ADOPT_DRAIN_H */
