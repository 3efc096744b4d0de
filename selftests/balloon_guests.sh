#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/balloon_guests.sh BUILD_DIR: the guest's balloon driver in real guests,
# at the level of the standard, with QEMU's own virtio-balloon. Runs as root
# inside the lab host (see lab/host and lab/guest). Prints KTAP, then
# "N passed, N failed, N skipped".
set -u

MEM_MB=384
. "$(dirname "$(realpath "$0")")/cases.sh"

DRIVERS=/sys/bus/virtio/drivers
OURS=fisc_balloon
# What the driver leaves to a guest of this size, by default.
FLOOR_KB=65536
# What it has without a balloon.
total_kb=0

show_state()
{
	show_guests
}

# --- the guest, from inside and from outside ------------------------------------

inside()
{
	guest exec --timeout "$PATIENCE" "$@"
}

# ask NAME COMMAND [ARGUMENTS]: one QMP command.
ask()
{
	guest qmp "$1" "{\"execute\": \"$2\"${3+, \"arguments\": $3}}"
}

# target NAME BYTES: leave the guest so much of its memory.
target()
{
	ask "$1" balloon "{\"value\": $2}" >/dev/null
}

# Bytes that the guest has, as QEMU knows it.
actual()
{
	ask "$1" query-balloon | sed -n 's/.*"actual": \([0-9]*\).*/\1/p'
}

actual_is()
{
	[ "$(actual "$1")" = "$2" ]
}

reaches()
{
	target "$1" "$2" || return 1
	wait_until "$PATIENCE" actual_is "$1" "$2" || {
		say "has $(actual "$1"), should have $2"
		return 1
	}
}

mib()
{
	echo $(($1 << 20))
}

# The driver of the guest's only balloon device.
driver_is()
{
	inside "$1" -- "ls -d $DRIVERS/$2/virtio* >/dev/null 2>&1"
}

# field NAME FILE WORD: the number behind a word in a file of the guest.
field()
{
	inside "$1" -- "sed -n 's/^$3:\\? *\\([0-9]*\\).*/\\1/p' $2"
}

load()
{
	inside "$1" -- "insmod /fisc/$OURS.ko any_device=1"
}

load_in_tree()
{
	inside "$1" -- 'insmod "$(grep -l virtio_balloon /modules/*.ko)"'
}

rss_kb()
{
	sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(<"/run/fisc-guests/$1/pid")/status"
}

rss_is_at_most()
{
	[ "$(rss_kb "$1")" -le "$2" ]
}

nobody_was_killed()
{
	[ "$(field "$1" /proc/vmstat oom_kill)" = 0 ]
}

# --- cases ------------------------------------------------------------------------

guest_boots()
{
	guest start 1 --balloon --mem "${MEM_MB}M" --timeout "$PATIENCE" &&
		driver_is vm1 virtio_balloon && total_kb=$(field vm1 /proc/meminfo MemTotal)
}

driver_takes_an_inflated_device_over()
{
	reaches vm1 "$(mib $((MEM_MB - 20)))" || return 1
	load vm1 && driver_is vm1 "$OURS" || return 1
	wait_until "$PATIENCE" actual_is vm1 "$(mib $((MEM_MB - 20)))"
}

balloon_has_a_tenth_exactly()
{
	reaches vm1 $(($(mib "$MEM_MB") * 9 / 10 / 4096 * 4096))
}

free_memory_goes_in_large_pages()
{
	local small

	reaches vm1 "$(mib "$MEM_MB")" || return 1
	small=$(field vm1 /proc/vmstat balloon_inflate)
	reaches vm1 "$(mib $((MEM_MB - 64)))" || return 1
	small=$(($(field vm1 /proc/vmstat balloon_inflate) - small))
	say "$small of 16384 pages were small"
	[ "$small" -lt 8192 ]
}

balloon_has_half_and_some_pages_exactly()
{
	reaches vm1 $(($(mib $((MEM_MB / 2))) + 3 * 4096))
}

every_page_counts()
{
	local pages

	for pages in 4 3 515 1 511 512 0; do
		reaches vm1 $(($(mib $((MEM_MB - 60))) + pages * 4096)) || return 1
	done
}

floor_is_left()
{
	local total

	target vm1 "$(mib 16)" || return 1
	total=$(settled field vm1 /proc/meminfo MemTotal)
	say "MemTotal $total kB, the floor is $FLOOR_KB kB"
	[ "$total" -ge "$FLOOR_KB" ] && nobody_was_killed vm1
}

higher_floor_counts_at_once()
{
	local now_kb

	reaches vm1 "$(mib "$MEM_MB")" || return 1
	inside vm1 -- "echo $(((total_kb >> 10) - 40)) >/sys/module/$OURS/parameters/floor_mb" &&
		target vm1 "$(mib $((MEM_MB - 60)))" || return 1
	now_kb=$(settled field vm1 /proc/meminfo MemTotal)
	say "MemTotal was $total_kb kB, is $now_kb kB"
	[ "$now_kb" -ge $((total_kb - 41 * 1024)) ] &&
		[ "$now_kb" -le $((total_kb - 39 * 1024)) ] || return 1
	inside vm1 -- "echo 0 >/sys/module/$OURS/parameters/floor_mb" &&
		reaches vm1 "$(mib $((MEM_MB - 60)))"
}

deflated_memory_is_usable()
{
	reaches vm1 "$(mib "$MEM_MB")" || return 1
	say "MemTotal $(field vm1 /proc/meminfo MemTotal) kB, was $total_kb kB"
	[ "$(field vm1 /proc/meminfo MemTotal)" = "$total_kb" ] || return 1
	inside vm1 -- "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep -q "mismatches 0"
}

# It has filled its memory, and checks it.
hog_is_there()
{
	inside vm1 -- "grep -q pass /run/hog.log"
}

hog_that_is_there_is_not_killed()
{
	local end

	guest bg vm1 -- "/fisc/memcheck --mb 100 --seconds 40 --write-rate 1000 >/run/hog.log 2>&1
		echo \$? >/run/hog.end"
	wait_until "$PATIENCE" hog_is_there || return 1
	target vm1 "$(mib 64)" || return 1
	for ((end = SECONDS + PATIENCE; SECONDS < end; )); do
		[ "$(inside vm1 -- 'cat /run/hog.end 2>/dev/null')" = "" ] || break
		sleep 2
	done
	say "has $(actual vm1), $(inside vm1 -- 'tail -n 1 /run/hog.log')"
	[ "$(inside vm1 -- 'cat /run/hog.end')" = 0 ] && nobody_was_killed vm1
}

compaction_moves_small_pages()
{
	local mb moved

	reaches vm1 "$(mib "$MEM_MB")" || return 1
	# Each less than a large page.
	for ((mb = 1; mb <= 24; mb++)); do
		reaches vm1 "$(mib $((MEM_MB - mb)))" || return 1
	done
	moved=$(field vm1 /proc/vmstat balloon_migrate)
	inside vm1 -- "/fisc/memcheck --mb 64 --seconds 5 | tail -n 1
		echo 1 >/proc/sys/vm/compact_memory" |
		grep -q "mismatches 0" || return 1
	moved=$(($(field vm1 /proc/vmstat balloon_migrate) - moved))
	say "$moved pages moved"
	actual_is vm1 "$(mib $((MEM_MB - 24)))" && [ "$moved" -gt 0 ]
}

statistics_are_said()
{
	local stats name

	ask vm1 qom-set '{"path": "/machine/peripheral/bal0",
		"property": "guest-stats-polling-interval", "value": 1}' >/dev/null || return 1
	sleep 5
	stats=$(ask vm1 qom-get '{"path": "/machine/peripheral/bal0", "property": "guest-stats"}')
	say "$stats"
	for name in total-memory free-memory available-memory disk-caches minor-faults; do
		[[ $stats =~ \"stat-$name\":\ [1-9][0-9]{3,} ]] || return 1
	done
}

# Devices are suspended and resumed; the guest does not sleep.
suspended_driver_comes_back()
{
	local before

	reaches vm1 "$(mib $((MEM_MB - 40)))" || return 1
	inside vm1 -- 'echo devices >/sys/power/pm_test && echo freeze >/sys/power/state;
		echo none >/sys/power/pm_test; dmesg | tail -n 5' | sed 's/^/# /'
	wait_until "$PATIENCE" actual_is vm1 "$(mib $((MEM_MB - 40)))" && driver_is vm1 "$OURS"
}

unloaded_driver_gives_the_device_back()
{
	reaches vm1 "$(mib $((MEM_MB - 50)))" || return 1
	inside vm1 -- "rmmod $OURS" && driver_is vm1 virtio_balloon || return 1
	wait_until "$PATIENCE" actual_is vm1 "$(mib $((MEM_MB - 50)))" &&
		reaches vm1 "$(mib "$MEM_MB")"
}

# It takes fisc's devices only, if it is not told otherwise.
driver_leaves_the_device_to_the_kernels()
{
	inside vm1 -- "insmod /fisc/$OURS.ko" && driver_is vm1 virtio_balloon &&
		inside vm1 -- "rmmod virtio_balloon" && ! driver_is vm1 "$OURS" &&
		load_in_tree vm1 && driver_is vm1 virtio_balloon &&
		inside vm1 -- "rmmod $OURS" && driver_is vm1 virtio_balloon || return 1
	reaches vm1 "$(mib $((MEM_MB - 30)))" && reaches vm1 "$(mib "$MEM_MB")"
}

driver_can_be_first()
{
	inside vm1 -- "rmmod virtio_balloon" && load vm1 && driver_is vm1 "$OURS" || return 1
	load_in_tree vm1 && driver_is vm1 "$OURS" || return 1
	reaches vm1 "$(mib $((MEM_MB - 30)))" || return 1
	inside vm1 -- "rmmod $OURS" && driver_is vm1 virtio_balloon || return 1
	wait_until "$PATIENCE" actual_is vm1 "$(mib $((MEM_MB - 30)))"
}

driver_can_be_alone()
{
	inside vm1 -- "rmmod virtio_balloon" && load vm1 || return 1
	reaches vm1 "$(mib $((MEM_MB - 30)))" || return 1
	inside vm1 -- "rmmod $OURS" && actual_is vm1 "$(mib "$MEM_MB")" &&
		load_in_tree vm1 && driver_is vm1 virtio_balloon
}

drivers_take_turns()
{
	local i

	target vm1 "$(mib $((MEM_MB - 50)))"
	for ((i = 0; i < 8; i++)); do
		load vm1 && driver_is vm1 "$OURS" || return 1
		sleep 0.$i
		inside vm1 -- "rmmod $OURS" && driver_is vm1 virtio_balloon || return 1
	done
	load vm1 && wait_until "$PATIENCE" actual_is vm1 "$(mib $((MEM_MB - 50)))"
}

kernel_did_not_complain()
{
	! grep -aE 'BUG|WARNING|Oops|Bad page|Call Trace|hung task|Out of memory' \
		"/run/fisc-guests/$1/console.log"
}

guest_with_every_feature_boots()
{
	local device=virtio-balloon-pci,id=bal0,iothread=io,deflate-on-oom=on

	device+=,free-page-hint=on,free-page-reporting=on
	guest start 1 --prefix all --mem "${MEM_MB}M" --timeout "$PATIENCE" \
		--qemu-extra "-object iothread,id=io -device $device" &&
		load all1 && driver_is all1 "$OURS"
}

reported_pages_are_freed()
{
	local before

	inside all1 -- "/fisc/memcheck --mb 100 --seconds 3" | tail -n 1 | grep -q "mismatches 0" ||
		return 1
	before=$(rss_kb all1)
	# Only blocks of 2 MiB are reported. The kernel's lists of single free pages may
	# keep one of each, and so may other users of memory, of some.
	inside all1 -- "echo 1 >/proc/sys/vm/compact_memory"
	wait_until 60 rss_is_at_most all1 $((before - 24 * 1024)) || {
		say "RSS was $before kB, is $(rss_kb all1) kB"
		inside all1 -- "dmesg | tail -n 5; cat /proc/buddyinfo" | sed 's/^/# /'
		return 1
	}
}

# Nothing was left but the floor; then somebody needs more than that.
balloon_gives_way_before_an_oom_kill()
{
	local total

	target all1 "$(mib 16)" || return 1
	total=$(settled actual all1)
	inside all1 -- "/fisc/memcheck --mb 100 --seconds 3" | tail -n 1 | grep "mismatches 0" ||
		return 1
	say "had $((total >> 20)) MiB, has $(($(actual all1) >> 20)) MiB"
	nobody_was_killed all1
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/kmod/balloon/guest/$OURS.ko" ] || usage
	echo "KTAP version 1"
	check guest_boots
	check driver_takes_an_inflated_device_over
	check balloon_has_a_tenth_exactly
	check free_memory_goes_in_large_pages
	check balloon_has_half_and_some_pages_exactly
	check every_page_counts
	check floor_is_left
	check higher_floor_counts_at_once
	check deflated_memory_is_usable
	check hog_that_is_there_is_not_killed
	check compaction_moves_small_pages
	check statistics_are_said
	check suspended_driver_comes_back
	check unloaded_driver_gives_the_device_back
	check driver_leaves_the_device_to_the_kernels
	check driver_can_be_first
	check driver_can_be_alone
	check drivers_take_turns
	check kernel_did_not_complain vm1
	guest kill -9 --all
	check guest_with_every_feature_boots
	check reported_pages_are_freed
	check balloon_gives_way_before_an_oom_kill
	check kernel_did_not_complain all1
	guest kill -9 --all
	totals
}

main "$@"
