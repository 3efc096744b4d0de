#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/memory_guests.sh BUILD_DIR: real guests on BUILD_DIR/fisc.ko. Runs as root
# inside the lab host (see lab/host and lab/guest). Prints KTAP, then
# "N passed, N failed, N skipped".
#
# GUESTS         guests that check their memory side by side (3)
# SECONDS_CHECK  for how long (60)
# CHECK_MB       how much of it (48); a guest by itself checks two thirds of that
# SECONDS_DOMAIN for how long guests change their share domain (20)
# KILL_ROUNDS    how often VMMs are killed while they start (4)
set -u

GUESTS=${GUESTS:-3}
SECONDS_CHECK=${SECONDS_CHECK:-60}
CHECK_MB=${CHECK_MB:-48}
ALONE_MB=$((CHECK_MB * 2 / 3))
SECONDS_DOMAIN=${SECONDS_DOMAIN:-20}
KILL_ROUNDS=${KILL_ROUNDS:-4}

MNT=/dev/fisc
MEM_MB=192
MEM_PAGES=$((MEM_MB * 256))
. "$(dirname "$(realpath "$0")")/cases.sh"

show_state()
{
	show_guests
	sed 's/^/# core /' "$DEBUGFS/fisc/core"
	sed 's/^/# share /' "$DEBUGFS/fisc/share"
}

vm()
{
	cat "$SYSFS/vms/$1/$2" 2>/dev/null || echo -1
}

counter_is()
{
	[ "$(counter "$1" "$2")" = "$3" ]
}

# At full speed, large pages broken as soon as that saves anything.
scan()
{
	echo 1000000 >"$SYSFS/share/pages_per_sec" &&
		echo 50 >"$SYSFS/share/cpu_percent" &&
		echo 100 >"$SYSFS/share/recheck_ms" &&
		echo 1 >"$SYSFS/large/break_pages" &&
		echo guests >"$SYSFS/share/domain" &&
		echo "$1" >"$SYSFS/share/run"
}

# Un-share a guest's pages by taking it out of the domain, or let it back in.
alone()
{
	echo "${2-}" >"$SYSFS/vms/$1/domain"
}

# --- cases ---------------------------------------------------------------------

guests_boot()
{
	guest start "$GUESTS" --backend "$MNT" --balloon --mem "${MEM_MB}M" --timeout "$PATIENCE" &&
		counter_is core vms "$GUESTS"
}

corruption_would_be_seen()
{
	local status

	guest exec --timeout "$PATIENCE" vm1 -- \
		/fisc/memcheck --mb 4 --seconds 10 --corrupt >/tmp/corrupt.log 2>&1
	status=$?
	[ "$status" -eq 1 ] && grep -q "mismatch page 512 offset 616" /tmp/corrupt.log || {
		say "status $status"
		sed 's/^/# /' /tmp/corrupt.log
		return 1
	}
}

# The main thing: real guests write and check while their pages are shared,
# holes are punched into their memory, their domains change, and files of the
# same domain are written, punched and truncated by others.
guests_find_their_memory_as_they_left_it()
{
	local name failed=0 end merged breaks stress

	merged=$(counter share merged) breaks=$(counter share cow_breaks)
	scan 1
	for name in $(names); do
		start_memcheck "$name" --mb "$CHECK_MB" --threads 2 --seconds "$SECONDS_CHECK" \
			--write-rate 400 || return 1
	done
	nice "$programs/stress" "$SECONDS_CHECK" "$MNT"/stress{1,2} >/tmp/stress.log 2>&1 &
	stress=$!
	end=$((SECONDS + SECONDS_CHECK))
	while [ "$SECONDS" -lt "$end" ]; do
		sleep 3
		alone vm1 alone || return 1
		sleep 2
		alone vm1 || return 1
		name=vm$((RANDOM % GUESTS + 1))
		balloon "$name" $((MEM_MB - RANDOM % 24)) || return 1
		sleep 3
		say "present $(counter core present) frames $(counter core frames)" \
			"merged $(counter share merged) cow_breaks $(counter share cow_breaks)" \
			"large $(counter core large) broken $(counter core large_breaks)" \
			"rebuilt $(counter core large_rebuilds)"
	done
	for name in $(names); do
		end_memcheck "$name" 0 || failed=1
		balloon "$name" "$MEM_MB"
	done
	wait "$stress" || failed=1
	sed 's/^/# /' /tmp/stress.log
	rm -f "$MNT"/stress?
	[ "$failed" -eq 0 ] || return 1
	# It was no idle test.
	[ "$(counter share merged)" -gt $((merged + 500)) ] &&
		[ "$(counter share cow_breaks)" -gt $((breaks + 100)) ]
}

# Frames that vm1 and vm2 have in common.
common_frames()
{
	"$programs/frames" "$MNT/vm1" "$MNT/vm2"
}

no_frame_serves_guests_of_two_domains()
{
	local end=$((SECONDS + SECONDS_DOMAIN)) common=0 most=0 looks=0 name

	scan 1
	for name in vm1 vm2; do
		start_memcheck "$name" --mb "$ALONE_MB" --seconds "$SECONDS_DOMAIN" --write-rate 1000 ||
			return 1
	done
	while [ "$SECONDS" -lt "$end" ] || [ "$looks" -lt 4 ]; do
		alone vm1 || return 1
		sleep 2
		common=$(common_frames) || return 1
		[ "$common" -le "$most" ] || most=$common
		alone "vm$((looks % 2 + 1))" "elsewhere$looks" || return 1
		common=$(common_frames) || return 1
		[ "$common" -eq 0 ] || {
			say "$common frames serve two domains"
			return 1
		}
		alone "vm$((looks % 2 + 1))" || return 1
		looks=$((looks + 1))
	done
	say "$looks times, up to $most frames in common while in one domain"
	for name in vm1 vm2; do
		end_memcheck "$name" 0 || return 1
	done
	# It could have been seen.
	[ "$most" -gt 100 ]
}

cpus_of_a_guest_find_the_same()
{
	scan 0
	guest start 1 --prefix smp --cpus 2 --backend "$MNT" --mem "${MEM_MB}M" \
		--timeout "$PATIENCE" || return 1
	scan 1
	start_memcheck smp1 --mb "$ALONE_MB" --threads 4 --seconds 15 --write-rate 2000 &&
		end_memcheck smp1 15
}

vms_add_up_to_the_module()
{
	local dir present=0

	scan 0
	# Guests go on: look twice, the second time at both ends of an interval.
	for dir in "$SYSFS"/vms/*/; do
		present=$((present + $(<"$dir/present_pages")))
	done
	say "VMs $present, module $(counter core present)"
	[ $((present - $(counter core present))) -lt 2000 ] &&
		[ $(($(counter core present) - present)) -lt 2000 ] &&
		[ $(($(counter core private) + $(counter core shared))) -le $((GUESTS * MEM_PAGES)) ]
}

# As "cp" saves a guest, while pages are being shared.
copy_of_a_stopped_guest_is_exact()
{
	guest qmp vm1 '{"execute": "stop"}' >/dev/null || return 1
	scan 1
	cp "$MNT/vm1" /tmp/vm1.saved && cmp "$MNT/vm1" /tmp/vm1.saved || return 1
	sleep 2
	cmp "$MNT/vm1" /tmp/vm1.saved || return 1
	rm -f /tmp/vm1.saved
	guest qmp vm1 '{"execute": "cont"}' >/dev/null &&
		guest exec vm1 -- true
}

unlinked_guest_goes_on()
{
	rm "$MNT/vm1" || return 1
	[ ! -e "$SYSFS/vms/vm1" ] || return 1
	start_memcheck vm1 --mb "$ALONE_MB" --seconds 10 && end_memcheck vm1 10 || return 1
	guest kill -9 vm1 &&
		wait_until "$PATIENCE" counter_is core vms "$(find "$MNT" -maxdepth 1 -type f | wc -l)"
}

vm_is_over()
{
	! kill -0 "$(<"/run/fisc-guests/$1/pid")" 2>/dev/null ||
		guest qmp "$1" '{"execute": "query-status"}' 2>/dev/null | grep -q '"running": false'
}

# Its memory is gone: SIGBUS to QEMU or an error of KVM_RUN, nothing worse.
guest_ends_when_its_file_is_truncated()
{
	truncate -s 0 "$MNT/vm2" || return 1
	[ "$(vm vm2 present_pages)" = 0 ] || say "present $(vm vm2 present_pages)"
	wait_until "$PATIENCE" vm_is_over vm2 || return 1
	[ "$(vm vm2 present_pages)" = 0 ] || return 1
	guest kill -9 vm2
	rm "$MNT/vm2"
}

others_are_unharmed()
{
	guest exec --timeout "$PATIENCE" "vm$GUESTS" -- \
		/fisc/memcheck --mb 16 --seconds 5 | tail -n 1 | grep "mismatches 0"
}

preallocated_guest_has_all_its_memory()
{
	scan 0
	guest start 1 --prefix bal --prealloc --balloon --backend "$MNT" --mem "${MEM_MB}M" \
		--timeout "$PATIENCE" || return 1
	say "present $(vm bal1 present_pages) of $MEM_PAGES"
	[ "$(vm bal1 present_pages)" = "$MEM_PAGES" ]
}

present_is_at_most()
{
	[ "$(vm "$1" present_pages)" -le "$2" ]
}

balloon_gives_frames_back()
{
	local want=$((MEM_PAGES - 32 * 256 + 512))

	balloon bal1 $((MEM_MB - 32)) || return 1
	wait_until "$PATIENCE" present_is_at_most bal1 "$want"
	say "present $(vm bal1 present_pages), wanted at most $want"
	present_is_at_most bal1 "$want"
}

deflated_balloon_is_usable()
{
	balloon bal1 "$MEM_MB" || return 1
	scan 1
	start_memcheck bal1 --mb "$CHECK_MB" --seconds 10 && end_memcheck bal1 10
}

# kill -9 at any moment: while QEMU starts, the guest boots, or it runs.
killed_vmms_leave_nothing()
{
	local round

	guest kill -9 --all
	rm -rf "${MNT:?}"/*
	scan 1
	for ((round = 0; round < KILL_ROUNDS; round++)); do
		guest start "$GUESTS" --no-wait --backend "$MNT" --mem "${MEM_MB}M" || return 1
		sleep $((round * 2)).$((RANDOM % 10))
		say "round $round: present $(counter core present)"
		guest kill -9 --all || return 1
		# The files are there as long as nobody removes them.
		counter_is core vms "$GUESTS" ||
			say "vms $(counter core vms)"
		rm -rf "${MNT:?}"/*
		wait_until "$PATIENCE" counter_is core frames 0 || return 1
		wait_until "$PATIENCE" counter_is core vms 0 || return 1
	done
}

nothing_is_left()
{
	local name

	for name in frames present regions vms map_bytes; do
		wait_until 30 counter_is core "$name" 0 || return 1
	done
	scan 0
}

module_unloads()
{
	umount "$MNT" && rmmod fisc
}

set_up()
{
	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	insmod "$build/fisc.ko" && mkdir -p "$MNT" && mount -t fisc none "$MNT"
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc.ko" ] || usage
	build=$(realpath "$1")
	programs=$(dirname "$build")/selftests
	echo "KTAP version 1"
	if ! set_up; then
		echo "not ok 1 - set_up"
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	fi
	check guests_boot
	check corruption_would_be_seen
	check guests_find_their_memory_as_they_left_it
	if [ "$GUESTS" -ge 2 ]; then
		check no_frame_serves_guests_of_two_domains
	else
		skip no_frame_serves_guests_of_two_domains "only one guest"
	fi
	check vms_add_up_to_the_module
	check copy_of_a_stopped_guest_is_exact
	check unlinked_guest_goes_on
	if [ "$GUESTS" -ge 2 ]; then
		check guest_ends_when_its_file_is_truncated
	else
		skip guest_ends_when_its_file_is_truncated "only one guest"
	fi
	if [ "$GUESTS" -ge 3 ]; then
		check others_are_unharmed
	else
		skip others_are_unharmed "fewer than three guests"
	fi
	guest kill -9 --all
	rm -rf "${MNT:?}"/*
	check cpus_of_a_guest_find_the_same
	guest kill -9 --all
	rm -rf "${MNT:?}"/*
	check preallocated_guest_has_all_its_memory
	check balloon_gives_frames_back
	check deflated_balloon_is_usable
	check killed_vmms_leave_nothing
	check nothing_is_left
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	check module_unloads
	totals
}

main "$@"
