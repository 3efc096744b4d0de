// SPDX-License-Identifier: GPL-2.0
/*
 * With whom an adopted VM shares its pages: what its VMM has not marked
 * mergeable (QEMU's mem-merge=off) is shared with nobody, whatever its domain.
 */
#include <sys/mount.h>

#include "adopt.h"

/* Pages that the VM has in common with another one. */
#define COMMON		512L

/* Make another VM, with the same content. */
static bool make_twin(char *mem)
{
	char *twin = fisc_map(fisc_create(ST "twin", COMMON), COMMON);

	if (!twin)
		return false;
	fisc_fill_pages(twin, COMMON, 1);
	fisc_fill_pages(mem, COMMON, 1);
	return true;
}

/* Wait until so many bytes are known not to be marked. */
static bool wait_unmarked(long bytes)
{
	return wait_left("unmergeable", bytes);
}

static bool mark(char *mem, size_t size, int advice)
{
	int err = madvise(mem, size, advice);

	/* A kernel without KSM cannot be told, so that all are mergeable. */
	return !err || errno != EINVAL;
}

/* Does the mapping of @mem have a flag, by its two letters? */
static bool has_flag(const char *mem, const char *flag)
{
	char text[256];

	return fisc_smaps(mem, "VmFlags:", text, sizeof(text)) &&
	       strstr(text, flag);
}

/* Adopt the VM, and have it share pages with another one. */
static void adopt_and_share(struct __test_metadata *_metadata, char *mem)
{
	ASSERT_TRUE(make_twin(mem));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait("share", "sharing", 2 * COMMON));
}

/* Slots of the fixture that are not marked: a page of code. */
#define CODE		((long)PAGE_SIZE)

TEST_F(adopt, unmarked_memory_is_not_shared)
{
	if (!mark(self->mem, SIZE, MADV_UNMERGEABLE))
		SKIP(return, "no KSM");
	ASSERT_TRUE(make_twin(self->mem));
	memset(self->mem + COMMON * PAGE_SIZE, 0, PAGE_SIZE);
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_TRUE(wait_unmarked(SIZE + CODE));
	/* Nor when it is put into a domain. */
	ASSERT_EQ(0, fisc_vm_set(NAME, "domain", "st-other"));
	ASSERT_EQ(0, fisc_vm_set("st-twin", "domain", "st-other"));
	ASSERT_EQ(0, fisc_scan_on());
	EXPECT_TRUE(fisc_wait_above("core", "zero", 0));
	ASSERT_TRUE(fisc_wait_passes(3));
	EXPECT_EQ(0, fisc_share("sharing"));
	/* The administrator decides, both ways. */
	ASSERT_EQ(0, fisc_vm_set(NAME, "mergeable", "yes"));
	EXPECT_TRUE(fisc_wait("share", "sharing", 2 * COMMON));
	ASSERT_EQ(0, fisc_vm_set(NAME, "mergeable", "auto"));
	EXPECT_TRUE(fisc_wait_vm(NAME, "sharing_pages", 0));
	ASSERT_EQ(0, fisc_write_str(UNMERGEABLE, "1"));
	EXPECT_TRUE(fisc_wait("share", "sharing", 2 * COMMON));
	ASSERT_EQ(0, fisc_write_str(UNMERGEABLE, "0"));
	EXPECT_TRUE(fisc_wait_vm(NAME, "sharing_pages", 0));
	EXPECT_EQ(-EINVAL, fisc_vm_set(NAME, "mergeable", "perhaps"));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, COMMON, 1));
	ASSERT_TRUE(release());
	EXPECT_EQ(-1, fisc_check_pages(self->mem, COMMON, 1));
}

TEST_F(adopt, marked_memory_is_shared_and_keeps_its_mark)
{
	bool ksm = mark(self->mem, SIZE, MADV_MERGEABLE);

	adopt_and_share(_metadata, self->mem);
	EXPECT_TRUE(wait_unmarked(ksm ? CODE : 0));
	ASSERT_EQ(0, fisc_vm_set(NAME, "mergeable", "no"));
	EXPECT_TRUE(fisc_wait_vm(NAME, "sharing_pages", 0));
	ASSERT_TRUE(release());
	EXPECT_EQ(ksm, has_flag(self->mem, " mg"));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, COMMON, 1));
}

TEST_F(adopt, memory_that_loses_its_mark_is_shared_no_more)
{
	if (!mark(self->mem, SIZE, MADV_MERGEABLE))
		SKIP(return, "no KSM");
	adopt_and_share(_metadata, self->mem);
	/* A part of it is enough. */
	ASSERT_EQ(0, madvise(self->mem + CHUNK, CHUNK, MADV_UNMERGEABLE));
	EXPECT_TRUE(fisc_wait_vm(NAME, "sharing_pages", 0));
	EXPECT_TRUE(wait_unmarked(CHUNK + CODE));
	EXPECT_EQ(-1, fisc_check_pages(self->mem, COMMON, 1));
}

/* Unmarked memory that is added to a VM which shares. */
TEST_F(adopt, added_memory_without_a_mark_is_not_shared)
{
	char *more = map_memory(SIZE);

	ASSERT_NE(NULL, more);
	if (!mark(self->mem, SIZE, MADV_MERGEABLE))
		SKIP(return, "no KSM");
	adopt_and_share(_metadata, self->mem);
	fisc_fill_pages(more, COMMON, 1);
	ASSERT_EQ(0, vmm_set_slot(&self->vmm, 1, GPA + SIZE, more, PAGES));
	EXPECT_TRUE(wait_unmarked(SIZE + CODE));
	EXPECT_TRUE(wait_moved(0));
	ASSERT_TRUE(fisc_wait_passes(3));
	EXPECT_EQ(2 * COMMON, fisc_share("sharing"));
	EXPECT_EQ(-1, fisc_check_pages(more, COMMON, 1));
}

/* A VM on files of its own can be taken out, and so can its new files. */
TEST_F(adopt, vm_on_files_can_be_kept_from_sharing)
{
	char *first, *second;

	first = fisc_map(fisc_create(ST "twin", COMMON), COMMON);
	ASSERT_NE(NULL, first);
	fisc_fill_pages(first, COMMON, 1);
	ASSERT_EQ(0, mkdir(ST "own", 0700));
	ASSERT_EQ(0, fisc_vm_set("st-own", "mergeable", "no"));
	second = fisc_map(fisc_create(ST "own/a", COMMON), COMMON);
	ASSERT_NE(NULL, second);
	fisc_fill_pages(second, COMMON, 1);
	ASSERT_EQ(0, fisc_scan_on());
	ASSERT_TRUE(fisc_wait_passes(3));
	EXPECT_EQ(0, fisc_share("sharing"));
	ASSERT_EQ(0, fisc_vm_set("st-own", "mergeable", "auto"));
	EXPECT_TRUE(fisc_wait("share", "sharing", 2 * COMMON));
}

/* Mount options, too, count when the module has mounted its files first. */
TEST_F(adopt, options_of_a_later_mount_count)
{
	char domain[80];
	struct stat st;

	ASSERT_EQ(0, umount(FISC_MNT));
	ASSERT_EQ(0, adopt());
	ASSERT_TRUE(wait_moved(0));
	EXPECT_EQ(0, fisc_mount(FISC_MNT,
				"domain=st-other,mode=0750,uid=12,gid=34"));
	EXPECT_EQ(0, fisc_read_str(SHARE_DOMAIN, domain, sizeof(domain)));
	EXPECT_STREQ("st-other", domain);
	EXPECT_EQ(0, stat(FISC_MNT, &st));
	EXPECT_EQ(S_IFDIR | 0750, st.st_mode);
	EXPECT_EQ(12, st.st_uid);
	EXPECT_EQ(34, st.st_gid);
	EXPECT_EQ(0, mount("none", FISC_MNT, "fisc", MS_REMOUNT,
			   "mode=0755,uid=0,gid=0"));
	EXPECT_EQ(0, stat(FISC_MNT, &st));
	EXPECT_EQ(S_IFDIR | 0755, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	ASSERT_TRUE(release());
}

TEST_HARNESS_MAIN
