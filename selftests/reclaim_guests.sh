#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/reclaim_guests.sh BUILD_DIR: real guests that have been promised more
# memory than there is. Runs as root inside the lab host (see lab/host). Prints
# KTAP, then "N passed, N failed, N skipped". GUESTS is the number of guests (3),
# SECONDS_CHECK for how long they check their memory (40).
set -u

. "$(dirname "$(realpath "$0")")/cases.sh"

GUESTS=${GUESTS:-3}
SECONDS_CHECK=${SECONDS_CHECK:-40}
MEM_MB=224
CHECK_MB=84
MIB=1048576
# What there is: half of what the guests have.
POOL_MB=$((GUESTS * MEM_MB / 2))

MNT=/dev/fisc
ZRAM=/sys/block/zram0

show_state()
{
	show_guests
	grep -v "_us_" "$DEBUGFS/fisc/reclaim" | sed 's/^/# reclaim /'
	grep -H . "$SYSFS"/vms/*/{target,allocated,swapped,reclaim} | sed 's/^/# /'
}

state_is_at_most_clear()
{
	[[ $(<"$SYSFS/reclaim/state") =~ ^(high|clear)$ ]]
}

swap_on()
{
	modprobe zram && echo $((GUESTS * MEM_MB))M >"$ZRAM/disksize" &&
		mkswap -q /dev/zram0 && swapon /dev/zram0
}

# --- cases ------------------------------------------------------------------------

guests_boot()
{
	guest start "$GUESTS" --backend "$MNT" --mem "${MEM_MB}M" --timeout "$PATIENCE"
}

# All at once: each checks and writes more than its part of the pool.
guests_find_their_memory_as_they_left_it()
{
	local name failed=0 end least

	echo $((POOL_MB * MIB)) >"$SYSFS/tax/capacity" || return 1
	for name in $(names); do
		start_memcheck "$name" --mb "$CHECK_MB" --seconds "$SECONDS_CHECK" \
			--write-rate 400 || return 1
	done
	end=$((SECONDS + SECONDS_CHECK))
	least=$(counter reclaim pool_free)
	while [ "$SECONDS" -lt "$end" ]; do
		sleep 5
		say "state $(<"$SYSFS/reclaim/state") free $(counter reclaim pool_free)" \
			"frames $(counter core frames) swapped $(counter core swapped)" \
			"out $(counter reclaim swap_out) in $(counter reclaim swap_in)"
		[ "$(counter reclaim pool_free)" -ge "$least" ] || least=$(counter reclaim pool_free)
	done
	for name in $(names); do
		end_memcheck "$name" "$SECONDS_CHECK" || failed=1
	done
	say "at least $least of $(counter reclaim pool_total) pages were free"
	[ "$failed" = 0 ] && [ "$least" -gt 0 ] &&
		[ "$(counter reclaim swap_out)" -gt 1000 ] &&
		[ "$(counter reclaim swap_in)" -gt 100 ]
}

host_recovers()
{
	wait_until "$PATIENCE" state_is_at_most_clear && say "$(<"$SYSFS/reclaim/state")"
}

# One guest touches all it has, as fast as it can.
hungry_guest_is_contained()
{
	local before oom

	before=$(counter reclaim changes)
	oom=$(sed -n 's/^oom_kill //p' /proc/vmstat)
	start_memcheck vm1 --mb $((CHECK_MB + 16)) --seconds 10 --write-rate 10000 &&
		end_memcheck vm1 "$PATIENCE" || return 1
	say "$(($(counter reclaim changes) - before)) changes of state"
	[ "$(sed -n 's/^oom_kill //p' /proc/vmstat)" = "$oom" ] && host_recovers
}

stopped_copy_is_exact()
{
	guest qmp vm1 '{"execute": "stop"}' >/dev/null &&
		cp "$MNT/vm1" /tmp/vm1.saved && cmp "$MNT/vm1" /tmp/vm1.saved || return 1
	rm /tmp/vm1.saved
	guest qmp vm1 '{"execute": "cont"}' >/dev/null && guest exec vm1 -- true
}

# With memory of its own again, all of it.
guest_comes_back_when_there_is_memory()
{
	echo 0 >"$SYSFS/tax/capacity"
	start_memcheck vm2 --mb "$CHECK_MB" --seconds 5 && end_memcheck vm2 5
}

killed_vmms_leave_nothing()
{
	echo $((POOL_MB * MIB / 2)) >"$SYSFS/tax/capacity"
	wait_until "$PATIENCE" eval '[ "$(counter core swapped)" -gt 2000 ]' &&
		guest kill -9 --all && rm "$MNT"/vm? &&
		wait_until 30 eval '[ "$(counter core swapped)" = 0 ]' &&
		wait_until 30 eval '[ "$(counter core frames)" = 0 ]'
	echo 0 >"$SYSFS/tax/capacity"
	[ "$(counter core swapped)" = 0 ] && [ "$(counter core frames)" = 0 ]
}

# All but what the kernel's caches hold on to.
swap_is_empty()
{
	swapoff /dev/zram0
}

modules_go()
{
	umount "$MNT" && rmmod fisc
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc.ko" ] || usage
	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	insmod "$1/fisc.ko" && mkdir -p "$MNT" && mount -t fisc none "$MNT" && swap_on || exit 1
	echo 1 >"$SYSFS/share/run"
	echo "KTAP version 1"
	check guests_boot
	check guests_find_their_memory_as_they_left_it
	check host_recovers
	check hungry_guest_is_contained
	check stopped_copy_is_exact
	check guest_comes_back_when_there_is_memory
	check killed_vmms_leave_nothing
	check swap_is_empty
	check modules_go
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	totals
}

main "$@"
