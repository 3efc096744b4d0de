// SPDX-License-Identifier: GPL-2.0
/* The balloon driver of the same kernel: the host itself has a balloon. */
#include <glob.h>

#include "balloon.h"

#define LOOPBACK_TARGET	"/sys/module/fisc_vdpa/parameters/loopback_pages"

/* Return whether @device has a virtio device bound to a balloon driver. */
static bool has_balloon_driver(const char *device)
{
	char pattern[128];
	glob_t found;
	bool has;

	snprintf(pattern, sizeof(pattern), VDPA_DEVICES "/%s/virtio*/driver",
		 device);
	has = !glob(pattern, 0, NULL, &found);
	if (has)
		globfree(&found);
	return has;
}

FIXTURE(loopback)
{
	struct fisc_before before;
};

FIXTURE_SETUP(loopback)
{
	set_up(_metadata, &self->before);
	if (fisc_modprobe("virtio_vdpa") || fisc_modprobe("virtio_balloon"))
		SKIP(return, "no virtio_vdpa, or no virtio_balloon");
}

FIXTURE_TEARDOWN_PARENT(loopback)
{
	tear_down(_metadata, &self->before);
	EXPECT_EQ(0, fisc_modprobe_remove("virtio_balloon"));
	EXPECT_EQ(0, fisc_modprobe_remove("virtio_vdpa"));
}

/* Wait for a driver to give statistics @nr more times, each in a chain. */
static bool more_chains(long nr)
{
	return fisc_wait_above("balloon", "chains",
			       fisc_balloon("chains") + nr - 1);
}

TEST_F(loopback, host_itself_can_have_a_balloon)
{
	long frames = fisc_core("frames");
	long needs_reset = fisc_balloon("needs_reset");

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	EXPECT_TRUE(has_balloon_driver("st-a"));
	/* It keeps being asked for statistics; none of its memory is fisc's. */
	EXPECT_TRUE(more_chains(5));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	EXPECT_EQ(frames, fisc_core("frames"));
	EXPECT_EQ(needs_reset, fisc_balloon("needs_reset"));
}

TEST_F(loopback, memory_of_the_host_is_in_no_file)
{
	long frames = fisc_core("frames"), entries, unmapped;

	ASSERT_EQ(0, vdpa_add("st-a"));
	entries = fisc_balloon("entries");
	unmapped = fisc_balloon("unmapped");
	ASSERT_EQ(0, fisc_write_str(LOOPBACK_TARGET, "2048"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	EXPECT_TRUE(fisc_wait("balloon", "entries", entries + 2048));
	/* Entries of the last chain are counted before they are processed. */
	EXPECT_TRUE(fisc_wait_above("balloon", "unmapped",
				    unmapped + 2048 - 1));
	EXPECT_EQ(0, fisc_balloon("ballooned"));
	EXPECT_EQ(frames, fisc_core("frames"));
	/* Before it goes, a driver takes everything back. */
	ASSERT_EQ(0, fisc_write_str(LOOPBACK_TARGET, "0"));
	ASSERT_EQ(0, vdpa_unbind("st-a"));
	EXPECT_EQ(entries + 2 * 2048, fisc_balloon("entries"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	fisc_sleep_ms(QUIET_MS);
	EXPECT_EQ(entries + 2 * 2048, fisc_balloon("entries"));
}

TEST_F(loopback, driver_may_go_and_come_back)
{
	long chains;
	int i;

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	ASSERT_EQ(0, vdpa_add("st-a"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
		EXPECT_TRUE(more_chains(2));
		/* Remove the driver of the bus, or that of the balloon. */
		if (i & 1) {
			ASSERT_EQ(0, fisc_modprobe_remove("virtio_balloon"));
			EXPECT_FALSE(has_balloon_driver("st-a"));
			chains = fisc_balloon("chains");
			fisc_sleep_ms(QUIET_MS);
			EXPECT_EQ(chains, fisc_balloon("chains"));
			ASSERT_EQ(0, fisc_modprobe("virtio_balloon"));
			EXPECT_TRUE(has_balloon_driver("st-a"));
			EXPECT_TRUE(more_chains(2));
		}
		ASSERT_EQ(0, vdpa_unbind("st-a"));
		chains = fisc_balloon("chains");
		fisc_sleep_ms(QUIET_MS);
		EXPECT_EQ(chains, fisc_balloon("chains"));
	}
	/* After a loopback, addresses are those of a guest again. */
	{
		static struct guest guest;

		ASSERT_EQ(0, vdpa_bind("st-a", "vhost_vdpa"));
		make_memory(_metadata, &guest, ST "a", 1024);
		ASSERT_EQ(0, vdpa_open(&guest.vdpa, "st-a"));
		ASSERT_EQ(0, vdpa_map(&guest.vdpa, GPA, guest.map,
				      1024 * PAGE_SIZE));
		start(_metadata, &guest, VDPA_PAIRED);
		ASSERT_TRUE(inflate(&guest, FIRST, 3));
		EXPECT_EQ(3, actual(&guest));
		ASSERT_EQ(0, vdpa_set_status(&guest.vdpa, 0));
		ASSERT_EQ(0, vdpa_unmap(&guest.vdpa, GPA, 1024 * PAGE_SIZE));
		ASSERT_EQ(0, vdpa_start(&guest.vdpa, guest.map, GPA,
					VDPA_PAIRED, 16));
		vdpa_kick(&guest.vdpa.queues[0]);
		EXPECT_TRUE(vdpa_wait_status(&guest.vdpa, NEEDS_RESET));
	}
}

TEST_F(loopback, device_may_go_with_its_driver)
{
	int i;

	ASSERT_EQ(0, fisc_write_str(BALLOON_STATS, "100"));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, vdpa_add("st-a"));
		ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
		EXPECT_TRUE(more_chains(i));
		ASSERT_EQ(0, vdpa_del("st-a"));
		EXPECT_FALSE(vdpa_exists("st-a"));
	}
	/* All devices may go with the module as well. */
	ASSERT_EQ(0, vdpa_add("st-a"));
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	EXPECT_TRUE(more_chains(2));
	EXPECT_EQ(0, vdpa_unload());
	EXPECT_FALSE(vdpa_exists("st-a"));
	ASSERT_EQ(0, vdpa_load());
}

TEST_F(loopback, free_memory_of_the_host_is_nobodys)
{
	static struct guest guest;
	long unmapped, reported;

	/* A guest beside it keeps its memory. */
	make_memory(_metadata, &guest, ST "a", 1024);
	fill(&guest, FIRST, 1024 - FIRST);
	ASSERT_EQ(0, vdpa_add("st-a"));
	unmapped = fisc_balloon("unmapped");
	reported = fisc_balloon("reported");
	ASSERT_EQ(0, vdpa_bind("st-a", "virtio_vdpa"));
	/* The kernel reports free pages two seconds after the driver is up. */
	EXPECT_TRUE(fisc_wait_above("balloon", "unmapped", unmapped));
	EXPECT_EQ(reported, fisc_balloon("reported"));
	EXPECT_EQ(-1, damaged(&guest, FIRST, 1024 - FIRST));
}

TEST_HARNESS_MAIN
