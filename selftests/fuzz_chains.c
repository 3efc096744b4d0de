// SPDX-License-Identifier: GPL-2.0
/* Chains of descriptors, well formed or spoilt; see fuzz_chains.h. */
#include "fuzz_chains.h"

__u64 fuzz_state;

static __u64 random_pfn(void)
{
	__u64 first = GPA / PAGE_SIZE;

	switch (rnd(32)) {
	case 0:
		return fisc_rand(&fuzz_state) >> rnd(64);
	case 1:
		return first + rnd(PAGES + 64) - 32;
	case 2:
		/* Its own rings and buffers. */
		if (one_in(64))
			return first + rnd(VDPA_PAGES);
		return first + LOW_PAGES - 1 + rnd(2);
	default:
		return first + LOW_PAGES + rnd(HIGH_PAGES);
	}
}

static bool paired(void)
{
	return vdpa.features & VDPA_F(FISC_BALLOON_F_PAIRED);
}

void fuzz_write_entries(struct vdpa_queue *queue, int index)
{
	size_t at = rnd(FISC_BALLOON_BUFFER_MAX / 8 - 512) * 8, i;

	if (index == VDPA_STATS) {
		struct virtio_balloon_stat *stat = (void *)(queue->buffer + at);

		if (one_in(4))
			stat->tag = FISC_BALLOON_S_PSI_SOME + rnd(8);
		else
			stat->tag = rnd(20);
		stat->val = fisc_rand(&fuzz_state);
		return;
	}
	for (i = 0; i < 64; i++) {
		__u64 pfn = random_pfn();
		unsigned int order = one_in(64) ? rnd(12) : 0;

		if (paired()) {
			if (!one_in(16))
				pfn &= ~((1ULL << order) - 1);
			((__u64 *)(queue->buffer + at))[i] =
				FISC_BALLOON_RANGE(pfn, order);
		} else {
			((__u32 *)(queue->buffer + at))[i] = pfn;
		}
	}
}

static void good_part(struct vdpa_queue *queue, int index, __u64 *addr,
		      __u32 *len)
{
	__u32 bytes;

	if (index >= VDPA_REPORT) {
		*addr = GPA + (LOW_PAGES + rnd(HIGH_PAGES)) * PAGE_SIZE;
		*len = (rnd(one_in(64) ? 512 : 2) + 1) * PAGE_SIZE;
		if (*addr + *len > GPA_END)
			*len = GPA_END - *addr;
		return;
	}
	if (one_in(4096))
		bytes = FISC_BALLOON_BUFFER_MAX / 4;
	else
		bytes = one_in(32) ? 8 * (1 + rnd(16)) : 8;
	*len = one_in(32) ? 1 + rnd(bytes) : bytes;
	*addr = queue->buffer_iova + rnd(FISC_BALLOON_BUFFER_MAX - *len + 1);
	if (!one_in(16))
		*addr &= ~7ULL;
}

unsigned int fuzz_good_chains(struct vdpa_queue *queue, int index)
{
	__u16 good = index < VDPA_REPORT ? 0 : VRING_DESC_F_WRITE;
	unsigned int i, nr = 0;
	unsigned int end = one_in(2) ? queue->num : 1 + rnd(queue->num);
	bool single = !one_in(4);

	for (i = 0; i < end; nr++) {
		unsigned int left = single ? 1 : 1 + rnd(4);

		queue->avail->ring[(__u16)(queue->next_avail + nr) %
				   queue->num] = i;
		for (;;) {
			bool last = !--left || i + 1 == end;
			__u64 addr;
			__u32 len;

			good_part(queue, index, &addr, &len);
			vdpa_put(queue, i, addr, len,
				 good | (last ? 0 : VRING_DESC_F_NEXT),
				 last ? rnd(65536) : i + 1);
			i++;
			if (last)
				break;
		}
	}
	return nr;
}

__u64 fuzz_bad_address(const struct vdpa_queue *queue)
{
	switch (rnd(10)) {
	case 0:
		return fisc_rand(&fuzz_state);
	case 1:
		return fisc_rand(&fuzz_state) >> rnd(64);
	case 2:
		return GPA_END - rnd(64);
	case 3:
		return GPA - rnd(64);
	case 4:
		return GPA_OTHER + rnd(OTHER_PAGES * PAGE_SIZE);
	case 5:
		return -rnd(128);
	/* Valid, but bad places: any of the rings, the border of two maps. */
	case 6:
		return queue->iova + rnd(PAGE_SIZE);
	case 7:
		return vdpa_used_iova(queue) + rnd(64);
	case 8:
		return vdpa_avail_iova(queue) + rnd(64);
	default:
		return GPA + LOW_PAGES * PAGE_SIZE - rnd(64);
	}
}

static __u32 bad_length(void)
{
	static const __u32 lengths[] = {
		0, 1, 7, 65535, 65536, 65537, 1U << 20, 0x7fffffff, 0x80000000,
		0xfffff000, 0xffffffff,
	};

	return one_in(3) ? fisc_rand(&fuzz_state) >> rnd(32) :
			   lengths[rnd(sizeof(lengths) / sizeof(*lengths))];
}

void fuzz_spoil(struct vdpa_queue *queue, unsigned int *nr)
{
	unsigned int i = rnd(queue->num);
	struct vring_desc *desc = &queue->desc[i];
	__u16 *entry =
		&queue->avail->ring[(__u16)(queue->next_avail + rnd(*nr)) %
				    queue->num];

	switch (rnd(18)) {
	case 0 ... 2:
		desc->addr = fuzz_bad_address(queue);
		break;
	case 3 ... 4:
		desc->len = bad_length();
		break;
	case 5:
		desc->flags ^= 1 << rnd(one_in(4) ? 16 : 3);
		break;
	case 6:
		desc->flags |= VRING_DESC_F_INDIRECT;
		break;
	case 7:
		desc->flags |= VRING_DESC_F_NEXT;
		desc->next = rnd(queue->num);
		break;
	case 8:
		desc->flags |= VRING_DESC_F_NEXT;
		desc->next = queue->num + rnd(65536 - queue->num);
		break;
	case 9:
		desc->flags |= VRING_DESC_F_NEXT;
		desc->next = i;
		break;
	case 10:
		*entry = queue->num + rnd(65536 - queue->num);
		break;
	case 11:
		/* One chain twice. */
		*entry = rnd(queue->num);
		break;
	case 12:
		*nr += queue->num + rnd(2);
		break;
	case 13:
		*nr = rnd(65536);
		break;
	case 14:
		queue->used->idx += rnd(65536);
		break;
	case 15:
		queue->used->flags = fisc_rand(&fuzz_state);
		queue->avail->flags = fisc_rand(&fuzz_state);
		break;
	case 16:
		desc->flags ^= VRING_DESC_F_WRITE;
		break;
	default:
		((__u64 *)desc)[rnd(2)] = fisc_rand(&fuzz_state);
	}
}
