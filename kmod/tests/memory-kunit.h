/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit: translation of a device's page numbers to pages of a file.
 */
#include <kunit/test.h>
#include <linux/fs.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/sched.h>

#define FISC_TEST_FILE_PAGES	64
/* All maps but one are below this page number. */
#define FISC_TEST_PFNS		256

/**
 * struct fisc_memory_test - a file, and a device that parts of it are mapped to
 * @mnt: the file system
 * @file: the file
 * @at: where the file is mapped, with room behind its end
 * @memory: the maps of the device
 */
struct fisc_memory_test {
	struct vfsmount *mnt;
	struct file *file;
	unsigned long at;
	struct fisc_memory memory;
};

static void fisc_memory_test_map(struct kunit *test, u64 iova, u64 size,
				 u32 perm, u64 offset)
{
	struct fisc_memory_test *t = test->priv;

	KUNIT_ASSERT_EQ(test, fisc_memory_map(&t->memory, iova, size, perm,
					      t->at + offset), 0);
}

static void fisc_memory_test_map_pages(struct kunit *test, u64 pfn, u64 nr,
				       u32 perm, pgoff_t first)
{
	fisc_memory_test_map(test, pfn << PAGE_SHIFT, nr << PAGE_SHIFT, perm,
			     (u64)first << PAGE_SHIFT);
}

/* Open a file and unlink it: a mount of fisc elsewhere would keep it. */
static void fisc_memory_test_open(struct kunit *test)
{
	struct file_system_type *type = get_fs_type("fisc");
	struct fisc_memory_test *t = test->priv;
	struct dentry *dentry;
	struct inode *dir;
	struct path root;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, type);
	t->mnt = kern_mount(type);
	module_put(type->owner);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->mnt);
	root.mnt = t->mnt;
	root.dentry = t->mnt->mnt_root;
	t->file = file_open_root(&root, "kunit-memory", O_RDWR | O_CREAT, 0600);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->file);
	KUNIT_ASSERT_EQ(test, vfs_truncate(&t->file->f_path,
					   FISC_TEST_FILE_PAGES * PAGE_SIZE), 0);

	/* The extra reference keeps the unlink from detaching the inode. */
	dentry = dget(t->file->f_path.dentry);
	dir = d_inode(root.dentry);
	inode_lock_nested(dir, I_MUTEX_PARENT);
	err = vfs_unlink(mnt_idmap(t->mnt), dir, dentry, NULL);
	inode_unlock(dir);
	dput(dentry);
	KUNIT_ASSERT_EQ(test, err, 0);
	t->at = kunit_vm_mmap(test, t->file, 0,
			      2 * FISC_TEST_FILE_PAGES * PAGE_SIZE,
			      PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	KUNIT_ASSERT_NE(test, t->at, 0);
	KUNIT_ASSERT_NOT_NULL(test, current->mm);
	fisc_memory_set_mm(&t->memory, current->mm);
}

/* Two ordinary maps with room around them, and special cases. */
static int fisc_memory_test_init(struct kunit *test)
{
	struct fisc_memory_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	fisc_memory_init(&t->memory);
	test->priv = t;
	fisc_memory_test_open(test);

	fisc_memory_test_map_pages(test, 16, 16, VHOST_MAP_RW, 8);
	fisc_memory_test_map_pages(test, 48, 16, VHOST_MAP_RW, 32);
	/* The second half is beyond the end of the file. */
	fisc_memory_test_map_pages(test, 96, 32, VHOST_MAP_RW, 48);
	fisc_memory_test_map_pages(test, 160, 16, VHOST_MAP_RO, 0);
	/* From the middle of one page to the middle of another. */
	fisc_memory_test_map(test, 200 * PAGE_SIZE + 512, 3 * PAGE_SIZE,
			     VHOST_MAP_RW, 512);
	/* Page-aligned for the device, but not in the file. */
	fisc_memory_test_map(test, 220 * PAGE_SIZE, 2 * PAGE_SIZE,
			     VHOST_MAP_RW, 512);
	fisc_memory_test_map(test, 240 * PAGE_SIZE + 100, 200, VHOST_MAP_RW, 0);
	/* The last two page numbers. */
	fisc_memory_test_map_pages(test, FISC_MEMORY_MAX_PFN - 2, 2,
				   VHOST_MAP_RW, 4);

	return 0;
}

static void fisc_memory_test_exit(struct kunit *test)
{
	struct fisc_memory_test *t = test->priv;

	if (!t)
		return;
	fisc_memory_exit(&t->memory);
	fisc_memory_set_mm(&t->memory, NULL);
	if (!IS_ERR_OR_NULL(t->file))
		__fput_sync(t->file);
	if (!IS_ERR_OR_NULL(t->mnt))
		kern_unmount(t->mnt);
}

static u64 fisc_memory_test_find(struct fisc_memory_test *t, u64 pfn, u64 nr,
				 struct fisc_memory_range *range)
{
	u64 dealt;

	/* Nobody else maps anything here. */
	if (fisc_memory_enter(&t->memory))
		return U64_MAX;
	dealt = fisc_memory_find(&t->memory, pfn, nr, range);
	fisc_memory_leave(&t->memory);

	return dealt;
}

/* Expect @dealt page numbers done, and @found pages found from @first on. */
static void fisc_memory_expect(struct kunit *test, u64 pfn, u64 nr, u64 dealt,
			       pgoff_t first, pgoff_t found)
{
	struct fisc_memory_test *t = test->priv;
	struct fisc_memory_range range = {};

	KUNIT_EXPECT_EQ(test, fisc_memory_test_find(t, pfn, nr, &range), dealt);
	KUNIT_EXPECT_EQ(test, range.nr, found);
	if (!found)
		return;
	KUNIT_EXPECT_EQ(test, range.first, first);
	KUNIT_EXPECT_PTR_EQ(test, range.region, fisc_region_of_file(t->file));
}

static void numbers_in_no_map_mean_nothing(struct kunit *test)
{
	fisc_memory_expect(test, 0, 16, 16, 0, 0);
	fisc_memory_expect(test, 15, 1, 1, 0, 0);
	fisc_memory_expect(test, 32, 16, 16, 0, 0);
	fisc_memory_expect(test, 64, 6, 6, 0, 0);
}

static void numbers_before_a_map_are_passed_over(struct kunit *test)
{
	fisc_memory_expect(test, 0, 17, 17, 8, 1);
	fisc_memory_expect(test, 10, 8, 8, 8, 2);
	fisc_memory_expect(test, 32, 38, 32, 32, 16);
}

static void map_may_be_longer_than_what_is_asked(struct kunit *test)
{
	fisc_memory_expect(test, 16, 1, 1, 8, 1);
	fisc_memory_expect(test, 20, 4, 4, 12, 4);
	fisc_memory_expect(test, 31, 1, 1, 23, 1);
}

static void one_map_is_found_at_a_time(struct kunit *test)
{
	fisc_memory_expect(test, 0, FISC_TEST_PFNS, 32, 8, 16);
	fisc_memory_expect(test, 30, 40, 2, 22, 2);
}

static void pages_beyond_the_end_are_not_found(struct kunit *test)
{
	struct fisc_memory_test *t = test->priv;

	fisc_memory_expect(test, 96, 32, 16, 48, 16);
	fisc_memory_expect(test, 111, 1, 1, 63, 1);
	fisc_memory_expect(test, 112, 1, 1, 0, 0);
	fisc_memory_expect(test, 112, 16, 16, 0, 0);

	/* A truncated file; a partial last page counts. */
	KUNIT_ASSERT_EQ(test, vfs_truncate(&t->file->f_path,
					   49 * PAGE_SIZE + 1), 0);
	fisc_memory_expect(test, 96, 32, 2, 48, 2);
	fisc_memory_expect(test, 98, 30, 30, 0, 0);
}

static void only_whole_pages_of_a_file_count(struct kunit *test)
{
	fisc_memory_expect(test, 200, 4, 3, 1, 2);
	fisc_memory_expect(test, 200, 1, 1, 0, 0);
	fisc_memory_expect(test, 203, 1, 1, 0, 0);
	fisc_memory_expect(test, 220, 2, 2, 0, 0);
	fisc_memory_expect(test, 238, 10, 3, 0, 0);
}

static void map_to_be_read_only_is_passed_over(struct kunit *test)
{
	fisc_memory_expect(test, 160, 20, 16, 0, 0);
	fisc_memory_expect(test, 170, 2, 2, 0, 0);
}

static void last_page_number_is_one(struct kunit *test)
{
	fisc_memory_expect(test, FISC_MEMORY_MAX_PFN - 2, 2, 2, 4, 2);
	fisc_memory_expect(test, FISC_MEMORY_MAX_PFN - 1, 1, 1, 5, 1);
	fisc_memory_expect(test, FISC_TEST_PFNS,
			   FISC_MEMORY_MAX_PFN - FISC_TEST_PFNS,
			   FISC_MEMORY_MAX_PFN - FISC_TEST_PFNS, 4, 2);
}

static void range_that_overflows_means_nothing(struct kunit *test)
{
	fisc_memory_expect(test, FISC_MEMORY_MAX_PFN - 1, 2, 2, 0, 0);
	fisc_memory_expect(test, FISC_MEMORY_MAX_PFN, 1, 1, 0, 0);
	fisc_memory_expect(test, 1, FISC_MEMORY_MAX_PFN, FISC_MEMORY_MAX_PFN,
			   0, 0);
	fisc_memory_expect(test, 16, U64_MAX, U64_MAX, 0, 0);
	fisc_memory_expect(test, U64_MAX, 1, 1, 0, 0);
	/* The range of all page numbers does not overflow. */
	fisc_memory_expect(test, 0, FISC_MEMORY_MAX_PFN, 32, 8, 16);
}

static void unmapped_pages_mean_nothing(struct kunit *test)
{
	struct fisc_memory_test *t = test->priv;

	fisc_memory_unmap(&t->memory, 16 * PAGE_SIZE, 16 * PAGE_SIZE);
	fisc_memory_expect(test, 16, 16, 16, 0, 0);
	fisc_memory_expect(test, 0, 64, 64, 32, 16);
}

static void host_addresses_are_in_no_file(struct kunit *test)
{
	struct fisc_memory_test *t = test->priv;

	t->memory.loopback = true;
	fisc_memory_expect(test, 16, 16, 16, 0, 0);
}

/* Translate @nr page numbers from @pfn: 0 or the page's index plus 1. */
static bool fisc_memory_test_walk(struct fisc_memory_test *t, u64 pfn, u64 nr,
				  pgoff_t *means)
{
	struct fisc_memory_range range;
	u64 dealt, i;

	for (; nr; pfn += dealt, nr -= dealt) {
		dealt = fisc_memory_test_find(t, pfn, nr, &range);
		if (!dealt || dealt > nr || range.nr > dealt)
			return false;
		for (i = 0; i < dealt - range.nr; i++)
			*means++ = 0;
		for (i = 0; i < range.nr; i++)
			*means++ = range.first + i + 1;
	}

	return true;
}

static void range_means_what_its_numbers_do(struct kunit *test)
{
	struct fisc_memory_test *t = test->priv;
	pgoff_t *one, *all;
	u64 pfn, nr;

	one = kunit_kcalloc(test, FISC_TEST_PFNS, sizeof(*one), GFP_KERNEL);
	all = kunit_kcalloc(test, FISC_TEST_PFNS, sizeof(*all), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, one);
	KUNIT_ASSERT_NOT_NULL(test, all);
	for (pfn = 0; pfn < FISC_TEST_PFNS; pfn++)
		KUNIT_ASSERT_TRUE(test, fisc_memory_test_walk(t, pfn, 1,
							      one + pfn));
	KUNIT_EXPECT_EQ(test, one[16], 8 + 1);
	KUNIT_EXPECT_EQ(test, one[63], 47 + 1);

	for (pfn = 0; pfn < FISC_TEST_PFNS; pfn++) {
		for (nr = 1; nr <= FISC_TEST_PFNS - pfn; nr++) {
			KUNIT_ASSERT_TRUE(test, fisc_memory_test_walk(t, pfn,
								      nr, all));
			KUNIT_ASSERT_MEMEQ(test, all, one + pfn,
					   nr * sizeof(*all));
		}
		cond_resched();
	}
}

static struct kunit_case fisc_memory_cases[] = {
	KUNIT_CASE(numbers_in_no_map_mean_nothing),
	KUNIT_CASE(numbers_before_a_map_are_passed_over),
	KUNIT_CASE(map_may_be_longer_than_what_is_asked),
	KUNIT_CASE(one_map_is_found_at_a_time),
	KUNIT_CASE(pages_beyond_the_end_are_not_found),
	KUNIT_CASE(only_whole_pages_of_a_file_count),
	KUNIT_CASE(map_to_be_read_only_is_passed_over),
	KUNIT_CASE(last_page_number_is_one),
	KUNIT_CASE(range_that_overflows_means_nothing),
	KUNIT_CASE(unmapped_pages_mean_nothing),
	KUNIT_CASE(host_addresses_are_in_no_file),
	KUNIT_CASE(range_means_what_its_numbers_do),
	{}
};

static struct kunit_suite fisc_memory_suite = {
	.name = "fisc_memory",
	.init = fisc_memory_test_init,
	.exit = fisc_memory_test_exit,
	.test_cases = fisc_memory_cases,
};

kunit_test_suite(fisc_memory_suite);
