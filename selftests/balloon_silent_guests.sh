#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/balloon_silent_guests.sh BUILD_DIR: the paired driver in a real guest that has
# two balloon devices, QEMU's own and fisc's, of which the second stops answering. Runs
# as root inside the lab host (see lab/host and lab/guest). Prints KTAP, then
# "N passed, N failed, N skipped".
set -u

. "$(dirname "$(realpath "$0")")/balloon_cases.sh"

# Where the guest finds QEMU's device, which it probes first, and fisc's.
QEMUS=0000:00:10.0
FISCS=0000:00:11.0
# Seconds that the driver waits for the host; and that nothing in the guest may take
# longer than, the emulated machine being what it is.
ANSWER=5
LIMIT=120

show_state()
{
	show_guests
	grep -H . "$BALLOON"/{target,actual} 2>/dev/null | sed 's/^/# /'
	sed 's/^/# balloon /' "$DEBUGFS/fisc/balloon"
	timeout 60 "$LAB_GUEST" exec dev1 -- "dmesg | tail -n 20" | sed 's/^/#   /'
}

# --- the guest, from inside and from outside ------------------------------------

# within SECONDS COMMAND: it ends in the guest, by itself.
within()
{
	local start=$SECONDS

	inside "timeout -k 1 $1 sh -c '$2'" || return 1
	say "$2: $((SECONDS - start)) s"
}

# ask COMMAND [ARGUMENTS]: one QMP command.
ask()
{
	guest qmp dev1 "{\"execute\": \"$1\"${2+, \"arguments\": $2}}"
}

# The driver of a device, or nothing.
driver_of()
{
	inside "cd /sys/bus/pci/devices/$1/virtio* && basename \"\$(readlink driver)\""
}

drivers_are()
{
	local qemus fiscs

	qemus=$(driver_of "$QEMUS")
	fiscs=$(driver_of "$FISCS")
	[ "$qemus" = "$1" ] && [ "$fiscs" = "$2" ] || {
		say "QEMU's device has the driver '$qemus', fisc's '$fiscs'"
		return 1
	}
}

# What QEMU's own balloon leaves to the guest, in MiB.
qemus_balloon_is()
{
	[ "$(ask query-balloon | sed -n 's/.*"actual": \([0-9]*\).*/\1/p')" = $(($1 * MIB)) ]
}

load()
{
	inside "insmod /fisc/$OURS.ko floor_mb=32 answer_s=$ANSWER"
}

answer_s()
{
	inside "echo $1 >/sys/module/$OURS/parameters/answer_s"
}

# word_at OFFSET: what is in the guest's memory.
word_at()
{
	od -An -tu2 -j "$1" -N 2 "$MNT/dev1" | tr -d ' '
}

# The device finds a ring that cannot be, and serves no queue from then on. QEMU does not
# tell the guest that it wants to be reset.
silence()
{
	local queue avail index resets

	resets=$(counter balloon needs_reset)
	ask stop >/dev/null || return 1
	for queue in 0 1; do
		avail=$(ask x-query-virtio-queue-status "{\"path\":
			\"/machine/peripheral/fisc0/virtio-backend\", \"queue\": $queue}" |
			sed -n 's/.*"vring-avail": \([0-9]*\).*/\1/p')
		[ -n "$avail" ] || return 1
		index=$((($(word_at $((avail + 2))) + 32768) & 65535))
		printf "\\x$(printf %x $((index & 255)))\\x$(printf %x $((index >> 8)))" |
			dd of="$MNT/dev1" bs=1 seek=$((avail + 2)) conv=notrunc status=none ||
			return 1
	done
	ask cont >/dev/null && wait_until 60 is_silent "$resets"
}

is_silent()
{
	[ "$(counter balloon needs_reset)" -gt "$1" ]
}

# What there is besides is taken by somebody who uses it, until he is killed, or done.
memory_is_used_up()
{
	local mb

	mb=$(inside "awk '/^MemAvailable/ { print int(\$2 / 1024) + 24 }' /proc/meminfo")
	inside "timeout -k 1 $LIMIT /fisc/memcheck --mb $mb --seconds 3 >/run/used.log 2>&1;
		echo \$?" >"/run/used.status"
	say "$mb MiB: $(<"/run/used.status"), $(inside "tail -n 1 /run/used.log")"
	[ "$(<"/run/used.status")" -ne 124 ]
}

# --- cases ------------------------------------------------------------------------

# Each page could be a large one: have 64 that are not.
small_pages()
{
	local i

	for i in {1..16}; do
		reaches $((64 * MIB + i * MIB)) || return 1
	done
}

guest_boots()
{
	local devices="-device virtio-balloon-pci,id=bal0,free-page-reporting=on,addr=0x10"

	vdpa dev add name dev1 mgmtdev fisc && wait_until 10 test -c /dev/vhost-vdpa-0 || return 1
	devices+=" -device vhost-vdpa-device-pci,id=fisc0,vhostdev=/dev/vhost-vdpa-0,addr=0x11"
	guest start 1 --prefix dev --mem "${MEM_MB}M" --backend "$MNT" --timeout "$PATIENCE" \
		--qemu-extra "$devices"
}

# There is one reporter of free pages.
kernels_driver_fails_on_the_second()
{
	drivers_are virtio_balloon "" && inside "dmesg" | grep -q "failed with error -16"
}

paired_driver_takes_fiscs_only()
{
	load && drivers_are virtio_balloon "$OURS" && reaches $((64 * MIB))
}

other_device_works_on()
{
	local done=0

	ask balloon "{\"value\": $(((MEM_MB - 32) * MIB))}" >/dev/null &&
		wait_until "$PATIENCE" qemus_balloon_is $((MEM_MB - 32)) || done=1
	ask balloon "{\"value\": $((MEM_MB * MIB))}" >/dev/null &&
		wait_until "$PATIENCE" qemus_balloon_is "$MEM_MB" || done=1
	return "$done"
}

driver_can_be_loaded_again()
{
	inside "rmmod $OURS" && drivers_are virtio_balloon "" && load &&
		drivers_are virtio_balloon "$OURS" && wait_until "$PATIENCE" actual_is $((64 * MIB))
}

silent_device_is_reset()
{
	reaches $((64 * MIB)) && silence && reaches $((80 * MIB)) && reaches $((48 * MIB)) &&
		inside dmesg | grep "no answer from the host" | tail -n 1
}

driver_of_a_silent_device_unloads()
{
	reaches $((64 * MIB)) && silence && within "$LIMIT" "rmmod $OURS" &&
		drivers_are virtio_balloon "" && load && wait_until "$PATIENCE" actual_is $((64 * MIB))
}

# One who waits for the host with the lock, while another has to get it.
driver_that_waits_unloads()
{
	reaches $((64 * MIB)) && answer_s 3600 && silence || return 1
	echo $((80 * MIB)) >"$BALLOON/target"
	sleep 5
	within "$LIMIT" "rmmod $OURS" && load && reaches $((64 * MIB))
}

pages_moved()
{
	inside "sed -n 's/^balloon_migrate //p' /proc/vmstat"
}

compaction_does_not_wait()
{
	local moved

	reaches $((64 * MIB)) && small_pages && inside "/fisc/memcheck --mb 64 --seconds 3" |
		grep -q "mismatches 0" && answer_s 3600 && silence || return 1
	moved=$(pages_moved)
	within "$LIMIT" "echo 1 >/proc/sys/vm/compact_memory" || return 1
	moved=$(($(pages_moved) - moved))
	say "$moved pages moved"
	answer_s "$ANSWER" && reaches $((64 * MIB))
}

nobody_waits_who_needs_memory()
{
	reaches $((64 * MIB)) && answer_s 3600 && silence || return 1
	echo $((80 * MIB)) >"$BALLOON/target"
	sleep 5
	memory_is_used_up && answer_s "$ANSWER" && reaches $((64 * MIB))
}

device_suspends_though_silent()
{
	reaches $((64 * MIB)) && silence &&
		within "$LIMIT" "echo devices >/sys/power/pm_test && echo freeze >/sys/power/state" &&
		wait_until "$PATIENCE" actual_is $((64 * MIB))
}

memory_is_whole()
{
	reaches 0 && inside "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep "mismatches 0"
}

# The kernel's driver waits for ever then, and who takes the device from it. This ends
# the guest's use.
driver_loads_beside_one_that_waits()
{
	inside "cd /sys/bus/pci/devices/$QEMUS/virtio* && basename \"\$PWD\" >driver/unbind;
		rmmod $OURS" && drivers_are "" virtio_balloon && reaches $((32 * MIB)) && silence ||
		return 1
	echo $((48 * MIB)) >"$BALLOON/target"
	sleep 5
	within "$LIMIT" "insmod /fisc/$OURS.ko" && ! within "$LIMIT" "rmmod $OURS" &&
		inside dmesg | grep "driver waits for its host"
}

kernel_did_not_complain()
{
	! grep -aE 'BUG|WARNING|Oops|Bad page|blocked for more than' "/run/fisc-guests/dev1/console.log"
}

killed_vmm_leaves_nothing()
{
	guest kill -9 dev1 && rm "$MNT/dev1" &&
		wait_until 20 eval '[ "$(counter core frames)" = 0 ]' &&
		timeout 20 vdpa dev del dev1 && umount "$MNT" && rmmod fisc_vdpa && rmmod fisc
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc_vdpa.ko" ] || usage
	set_up "$1" || exit 1
	echo "KTAP version 1"
	check guest_boots
	check kernels_driver_fails_on_the_second
	check paired_driver_takes_fiscs_only
	check other_device_works_on
	check driver_can_be_loaded_again
	check silent_device_is_reset
	check driver_of_a_silent_device_unloads
	check driver_that_waits_unloads
	check compaction_does_not_wait
	check nobody_waits_who_needs_memory
	check memory_is_whole
	check kernel_did_not_complain
	check device_suspends_though_silent
	check driver_loads_beside_one_that_waits
	check killed_vmm_leaves_nothing
	echo "1..$((passed + failed + skipped))"
	totals
}

main "$@"
