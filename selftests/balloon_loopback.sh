#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/balloon_loopback.sh BUILD_DIR: the guest's balloon driver, paired, with
# fisc's device, both on this kernel. Runs as root inside the lab host (see
# lab/host). Prints KTAP, then "N passed, N failed, N skipped".
#
# The device has no VM: it ignores all pages, and says that it has none.
set -u

. "$(dirname "$(realpath "$0")")/cases.sh"

DRIVERS=/sys/bus/virtio/drivers
OURS=fisc_balloon
PAGES=100003

show_state()
{
	sed 's/^/# balloon /' "$DEBUGFS/fisc/balloon"
	grep -E 'MemFree|MemAvailable' /proc/meminfo | sed 's/^/# /'
}

counter_is_at_least()
{
	[ "$(counter balloon "$1")" -ge "$2" ]
}

target()
{
	echo "$1" >/sys/module/fisc_vdpa/parameters/loopback_pages
}

free_pages()
{
	sed -n 's/^nr_free_pages //p' /proc/vmstat
}

free_is_at_least()
{
	[ "$(free_pages)" -ge "$1" ]
}

free_is_at_most()
{
	[ "$(free_pages)" -le "$1" ]
}

device()
{
	(cd "$DRIVERS/$1" 2>/dev/null && ls -d virtio*)
}

driver_is()
{
	[ -n "$(device "$1")" ]
}

# Let the balloon grow to PAGES, from nothing. A debug kernel may have some memory of its own, now
# and then.
inflate()
{
	target 0
	sleep 5
	free=$(free_pages)
	target "$PAGES"
	wait_until 120 free_is_at_most $((free - PAGES + PAGES / 10))
}

came_back()
{
	wait_until 60 free_is_at_least $((free - PAGES / 2)) || {
		say "$free pages were free, $(free_pages) are"
		return 1
	}
}

# --- cases ------------------------------------------------------------------------

in_tree_driver_has_it_first()
{
	modprobe virtio_balloon && vdpa dev add name loop mgmtdev fisc &&
		wait_until 10 driver_is virtio_balloon
}

driver_takes_it_over()
{
	insmod "$build/kmod/balloon/guest/$OURS.ko" && driver_is "$OURS"
}

pages_are_told_in_ranges()
{
	local entries

	entries=$(counter balloon entries)
	inflate || return 1
	entries=$(($(counter balloon entries) - entries))
	say "told $PAGES pages in $entries entries"
	# Nine tenths are there for certain.
	[ "$entries" -ge $((PAGES * 9 / 10 / 512)) ] && [ "$entries" -lt $((PAGES / 16)) ] &&
		[ "$(counter balloon malformed)" = 0 ]
}

forgetful_device_is_told_again()
{
	sleep 3
	wait_until 60 counter_is_at_least entries $(($(counter balloon entries) + PAGES / 512))
}

# 512 pages become small ones, of which the device is not told.
balloon_shrinks_to_any_size()
{
	local size

	for size in $((PAGES - 1)) $((PAGES - 512)) $((PAGES - 1025)) 12345 0; do
		target "$size"
		wait_until 10 free_is_at_least $((free - size - PAGES / 2)) || return 1
		sleep 2
	done
	came_back
}

statistics_are_given_when_asked_for()
{
	wait_until 10 counter_is_at_least chains $(($(counter balloon chains) + 3))
}

unbound_driver_gives_all_back()
{
	local name

	name=$(device "$OURS")
	inflate
	echo "$name" >"$DRIVERS/$OURS/unbind" && came_back &&
		echo "$name" >"$DRIVERS/$OURS/bind" && inflate
}

deleted_device_gives_all_back()
{
	vdpa dev del loop && came_back && vdpa dev add name loop mgmtdev fisc || return 1
	wait_until 10 driver_is virtio_balloon
}

unloaded_driver_gives_the_device_back()
{
	rmmod "$OURS" && insmod "$build/kmod/balloon/guest/$OURS.ko" && driver_is "$OURS" &&
		inflate || return 1
	rmmod "$OURS" && driver_is virtio_balloon
}

# The kernel's driver takes half a minute for PAGES here, either way.
drivers_take_turns()
{
	local i

	target 2000
	for ((i = 0; i < 10; i++)); do
		insmod "$build/kmod/balloon/guest/$OURS.ko" || return 1
		sleep 0.$i
		rmmod "$OURS" || return 1
	done
	target 0
	came_back
}

modules_unload()
{
	vdpa dev del loop && rmmod fisc_vdpa && rmmod fisc
}

set_up()
{
	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	modprobe -a vdpa vhost_iotlb virtio_vdpa && insmod "$build/fisc.ko" &&
		insmod "$build/fisc_vdpa.ko"
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc_vdpa.ko" ] || usage
	build=$(realpath "$1")
	echo "KTAP version 1"
	if ! set_up; then
		echo "not ok 1 - set_up"
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	fi
	check in_tree_driver_has_it_first
	check driver_takes_it_over
	check pages_are_told_in_ranges
	check forgetful_device_is_told_again
	check balloon_shrinks_to_any_size
	check statistics_are_given_when_asked_for
	check unbound_driver_gives_all_back
	check deleted_device_gives_all_back
	check unloaded_driver_gives_the_device_back
	check drivers_take_turns
	check modules_unload
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	totals
}

main "$@"
