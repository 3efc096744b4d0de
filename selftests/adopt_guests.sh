#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/adopt_guests.sh BUILD_DIR: real guests that were started on ordinary memory
# are adopted and released while they run. Runs as root inside the lab host (see
# lab/host). Prints KTAP, then "N passed, N failed, N skipped". GUESTS is the number
# of guests (2), which take turns to be of a machine type and on memory that is private,
# and of another and on a memfd; CYCLES is how often each is adopted and released (3),
# SECONDS_CHECK for how long they check their memory (60 for each cycle).
set -u

. "$(dirname "$(realpath "$0")")/cases.sh"

GUESTS=${GUESTS:-2}
CYCLES=${CYCLES:-3}
SECONDS_CHECK=${SECONDS_CHECK:-$((CYCLES * 60))}
KINDS=("--machine microvm,pcie=on --memfd" "--machine q35,hpet=off")
MEM_MB=192
CHECK_MB=32

AUTO=$SYSFS/adoption
MNT=/dev/fisc

show_state()
{
	show_guests
	show_adoptions
}

pid_of()
{
	cat "/run/fisc-guests/$1/pid"
}

adopt()
{
	echo "$(pid_of "$1") $1" >"$SYSFS/adopt" && wait_until "$PATIENCE" is_adopted "$1" &&
		say "$(adoption "$1")"
}

release()
{
	echo release >"$SYSFS/vms/$1/adoption" && wait_until "$PATIENCE" is_released "$1"
}

on_all()
{
	local name

	for name in $(names); do
		"$@" "$name" || return 1
	done
}

# --- cases ------------------------------------------------------------------------

guests_boot()
{
	local i

	for ((i = 1; i <= GUESTS; i++)); do
		# shellcheck disable=SC2086
		guest start 1 --first "$i" ${KINDS[i % ${#KINDS[@]}]} --balloon \
			--mem "${MEM_MB}M" --timeout "$PATIENCE" || return 1
	done
}

process_without_a_vm_is_refused()
{
	! echo "$$ none" >"$SYSFS/adopt" && ! echo "999999 none" >"$SYSFS/adopt" &&
		! echo "nonsense" >"$SYSFS/adopt" && [ -z "$(ls "$MNT")" ]
}

guests_begin_to_check_their_memory()
{
	local name

	for name in $(names); do
		start_memcheck "$name" --mb "$CHECK_MB" --seconds "$SECONDS_CHECK" \
			--write-rate 2000 || return 1
	done
}

running_guests_are_adopted()
{
	local name

	on_all adopt || return 1
	files=$(files_of_all)
	for name in $(names); do
		[ "$(<"$SYSFS/vms/$name/present_pages")" -gt $((CHECK_MB * 256)) ] || return 1
		! echo "$(pid_of "$name") other" >"$SYSFS/adopt" || return 1
	done
}

# The guest uses memory for a file, and not any more; then the balloon takes it.
balloon_of_the_vmm_gives_memory_back()
{
	local name before

	for name in $(names); do
		guest exec "$name" -- "dd if=/dev/zero of=/tmp/file bs=1M count=32 && rm /tmp/file"
		before=$(<"$SYSFS/vms/$name/present_pages")
		balloon "$name" $((MEM_MB - 40)) || return 1
		wait_until "$PATIENCE" has_less "$name" $((before - 16 * 256)) || return 1
		say "$name: $before pages, then $(<"$SYSFS/vms/$name/present_pages")"
		balloon "$name" "$MEM_MB" || return 1
	done
}

has_less()
{
	[ "$(<"$SYSFS/vms/$1/present_pages")" -lt "$2" ]
}

adopted_guests_share_memory()
{
	echo 1 >"$SYSFS/share/run"
	wait_until "$PATIENCE" eval '[ "$(counter share saved)" -gt 5000 ]'
	say "$(counter core present) pages are present, in $(counter core frames) frames"
	[ "$(counter share saved)" -gt 5000 ]
}

released_guests_have_ordinary_memory()
{
	on_all release && [ "$(counter core frames)" = 0 ] && [ "$(counter core regions)" = 0 ] &&
		! grep -q /ram- "/proc/$(pid_of vm1)/maps"
}

files_of_all()
{
	find "$MNT" -type f | wc -l
}

# Of the three mappings that each guest's memory is then, a file is not made for each. (What
# was one mapping with it, and is no guest memory, separates it from the rest now.)
again_and_again()
{
	local i

	for ((i = 1; i < CYCLES; i++)); do
		on_all adopt || return 1
		[ "$(files_of_all)" -lt $((files + 2 * GUESTS)) ] || {
			say "$(files_of_all) files, $files before"
			return 1
		}
		on_all release || return 1
	done
}

guests_found_their_memory_as_they_left_it()
{
	local name failed=0

	for name in $(names); do
		end_memcheck "$name" "$SECONDS_CHECK" || failed=1
	done
	[ "$failed" = 0 ]
}

# By the names that QEMU was told.
policy_adopts_guests()
{
	local name

	echo 64M >"$AUTO/min_bytes" && echo "vm*" >"$AUTO/names" &&
		echo listed >"$AUTO/policy" || return 1
	for name in $(names); do
		wait_until "$PATIENCE" is_adopted "$name" || return 1
	done
	echo none >"$AUTO/policy" && echo 1 >"$AUTO/release_all" || return 1
	for name in $(names); do
		wait_until "$PATIENCE" is_released "$name" || return 1
	done
}

# KVM says that there is a guest, udev passes it on.
new_guest_is_adopted()
{
	start_udevd &&
		echo "new*" >"$AUTO/names" && echo listed >"$AUTO/policy" &&
		guest start 1 --prefix new --mem "${MEM_MB}M" --timeout "$PATIENCE" &&
		wait_until "$PATIENCE" is_adopted new1 || return 1
	say "$(adoption new1)"
	echo none >"$AUTO/policy"
	guest kill -9 new1 && wait_until "$PATIENCE" is_released new1 && pkill systemd-udevd
}

module_goes_while_released_guests_run()
{
	umount "$MNT" && rmmod fisc && guest exec vm1 -- true
}

module_comes_and_adopts_again()
{
	load && echo 1 >"$AUTO/shared" && on_all adopt && guest exec vm1 -- true
}

killed_vmms_leave_nothing()
{
	guest kill -9 --all && wait_until "$PATIENCE" eval '[ -z "$(ls "$MNT")" ]' &&
		[ "$(counter core frames)" = 0 ] && [ "$(counter core vms)" = 0 ]
}

module_goes()
{
	umount "$MNT" && rmmod fisc
}

load()
{
	insmod "$build/fisc.ko" && mkdir -p "$MNT" && mount -t fisc none "$MNT"
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc.ko" ] || usage
	build=$1
	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	load && echo 1 >"$AUTO/shared" || exit 1
	echo "KTAP version 1"
	check guests_boot
	check process_without_a_vm_is_refused
	check guests_begin_to_check_their_memory
	check running_guests_are_adopted
	check balloon_of_the_vmm_gives_memory_back
	check adopted_guests_share_memory
	check released_guests_have_ordinary_memory
	check again_and_again
	check guests_found_their_memory_as_they_left_it
	check policy_adopts_guests
	check new_guest_is_adopted
	check module_goes_while_released_guests_run
	check module_comes_and_adopts_again
	check killed_vmms_leave_nothing
	check module_goes
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	totals
}

main "$@"
