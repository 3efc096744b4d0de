/* SPDX-License-Identifier: GPL-2.0 */
/* Cases about pages run in both formats, which must have the same effect. */
#ifndef FISC_SELFTESTS_BALLOON_PAGES_H
#define FISC_SELFTESTS_BALLOON_PAGES_H

#include "balloon.h"

FIXTURE(pages)
{
	struct fisc_before before;
};

FIXTURE_VARIANT(pages)
{
	__u64 features;
};

FIXTURE_VARIANT_ADD(pages, standard)
{
	.features = VDPA_FEATURES,
};

FIXTURE_VARIANT_ADD(pages, paired)
{
	.features = VDPA_PAIRED,
};

FIXTURE_SETUP(pages)
{
	(void)variant;
	set_up(_metadata, &self->before);
}

FIXTURE_TEARDOWN_PARENT(pages)
{
	(void)variant;
	tear_down(_metadata, &self->before);
}

#endif /* FISC_SELFTESTS_BALLOON_PAGES_H */
