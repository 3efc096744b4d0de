#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/adopt_vmms.sh BUILD_DIR: VMMs that are not QEMU are adopted and released all the
# time. They are tests of KVM itself, from the kernel's source: each runs a guest, and
# checks what the guest and itself find in memory while it does what VMMs do. Runs as
# root inside the lab host (see lab/host). Prints KTAP, then "N passed, N failed,
# N skipped". SECONDS_SLOTS (10) is for how long each test of memslots runs, MODES the
# kinds of dirty logs ("dirty-log clear-log dirty-ring"), each read ITERATIONS (40) times.
set -u

. "$(dirname "$(realpath "$0")")/cases.sh"

SECONDS_SLOTS=${SECONDS_SLOTS:-10}
MODES=${MODES:-dirty-log clear-log dirty-ring}
ITERATIONS=${ITERATIONS:-40}
MNT=/dev/fisc
# Slots that the tests of memslots use.
SLOTS=32
# Less than that in an adopted VM, and it was no test.
LEAST_MIB=16

show_state()
{
	show_adoptions
}

ended()
{
	! kill -0 "$vmm" 2>/dev/null
}

# Until it is, as far as that goes now, or the VMM has ended.
has_moved()
{
	ended || [[ $(adoption "$1") = adopted* ]]
}

# "adopted N of N ...": bytes.
note_moved()
{
	local state bytes rest

	read -r state bytes rest <<<"$(adoption "$1")"
	[ "$state" != adopted ] || [ "$bytes" -le "$most" ] || most=$bytes
}

# A VM that has not been made yet, or is no more, is refused.
adopt_and_release()
{
	echo "$vmm vmm" >"$SYSFS/adopt" 2>/dev/null || return 0
	wait_until "$PATIENCE" has_moved vmm || return 1
	note_moved vmm
	adoptions=$((adoptions + 1))
	sleep 0.3
	echo release >"$SYSFS/vms/vmm/adoption" 2>/dev/null
	wait_until "$PATIENCE" is_released vmm
}

# A VMM's own tests hold while it is adopted and released: PROGRAM ARGUMENT...
all_is_well_with()
{
	local log=/run/vmm.log vmm status adoptions=0 most=0

	"$programs/$1" "${@:2}" >"$log" 2>&1 &
	vmm=$!
	until ended; do
		adopt_and_release || {
			kill -9 "$vmm"
			break
		}
		sleep 0.1
	done
	wait "$vmm"
	status=$?
	say "$adoptions adoptions, of $((most >> 20)) MiB at most"
	[ "$status" = 0 ] && [ "$adoptions" -gt 0 ] && [ "$most" -gt $((LEAST_MIB << 20)) ] && return
	say "exit status $status"
	tail -n 20 "$log" | sed 's/^/# /'
	return 1
}

nothing_is_left()
{
	wait_until "$PATIENCE" eval '[ -z "$(ls "$MNT")" ]' &&
		[ "$(counter core frames)" = 0 ] && [ "$(counter core vms)" = 0 ] &&
		umount "$MNT" && rmmod fisc
}

main()
{
	local mode test

	[ $# -eq 1 ] && [ -e "$1/fisc.ko" ] || usage
	build=$1
	programs=$build/../selftests/kernel
	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	insmod "$build/fisc.ko" && mkdir -p "$MNT" && mount -t fisc none "$MNT" || exit 1
	echo "KTAP version 1"
	# What is dirty is what has been written since: as in a migration. A store that has to
	# wait for longer than an interval since what it stores was loaded would be found wrong.
	for mode in $MODES; do
		check all_is_well_with dirty_log_test -M "$mode" -I 1000 -i "$ITERATIONS"
	done
	# Memory that is thrown away (0 to 2), and slots that move. The last one gives its guest
	# ten seconds for 512 MiB, which an emulated host does not always make.
	for test in 0 1 2 3 4; do
		check all_is_well_with memslot_perf_test -d -s "$SLOTS" -f "$test" -e "$test" \
			-l "$SECONDS_SLOTS"
	done
	# Slots come and go.
	check all_is_well_with memslot_modification_stress_test -b 64M -i 1000 -d 10000
	check nothing_is_left
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	totals
}

main "$@"
