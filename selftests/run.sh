#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/run.sh BUILD_DIR [PROGRAM[:CASE]|races|others]...: test
# BUILD_DIR/fisc.ko on this kernel, with all programs, those that are named,
# those that want CPUs to run at the same time, or the others. Runs as root
# inside the lab host (see lab/host). Prints KTAP, then
# "N passed, N failed, N skipped", counted in test cases: those of the programs,
# KUnit's if the kernel has it, and the checks that nothing is left behind.
# FISC_LIMIT is the time limit of a program in seconds (600).
set -u

RACES=(large share_cow share_race race activity swap_stress kvm_slots kvm_activity)
OTHERS=(file_ops file_io mmap_fault incremental domain pin poison oom sysfs admission
	targets swap swap_backing paging_device reclaim swap_stuck swap_wait kvm balloon
	balloon_queue balloon_range balloon_device balloon_target balloon_report balloon_offence
	balloon_wait balloon_host balloon_vmm balloon_adopt module module_init
	module_wait)
. "$(dirname "$(realpath "$0")")/cases.sh"

MNT=/dev/fisc
KUNIT_FILTER=/sys/module/kunit/parameters/filter_glob

count()
{
	case $1 in
	ok*"# SKIP"*)	skipped=$((skipped + 1)) ;;
	ok*)		passed=$((passed + 1)) ;;
	"not ok"*)	failed=$((failed + 1)) ;;
	esac
}

# name_check NAME COMMAND...: one case that passes if COMMAND does. Its number would be
# one of several, as programs count their own.
name_check()
{
	local name=$1 result=ok
	shift

	"$@" || result="not ok"
	echo "$result - $name"
	count "$result - $name"
}

run_program()
{
	local program=$1 case=$2 line plan=0 seen=0 start=$SECONDS output idle
	local args=()

	[ -z "$case" ] || args=(-t "$case")
	output=$(mktemp)
	idle=$(idle_seconds)
	echo "# $program"
	FISC_KO=$build/fisc.ko timeout -k 10 "${FISC_LIMIT:-600}" \
		"$programs/$program" "${args[@]}" </dev/null 2>&1 | tee "$output"
	echo "# $program: exit status ${PIPESTATUS[0]}, $((SECONDS - start)) s," \
		"CPUs idle for $(($(idle_seconds) - idle)) s"
	while IFS= read -r line; do
		case $line in
		1..*)			plan=${line#1..} plan=${plan%% *} ;;
		ok\ *|"not ok "*)	seen=$((seen + 1)); count "$line" ;;
		esac
	done <"$output"
	rm -f "$output"
	[ ! -e /sys/module/fisc_vdpa ] || name_check "device module unloads" rmmod fisc_vdpa
	while [ "$seen" -lt "$plan" ] || [ "$plan" -eq 0 ]; do
		seen=$((seen + 1))
		[ "$plan" -gt 0 ] || plan=$seen
		echo "not ok $seen - $program ended before this case"
		count "not ok"
	done
	# A case that timed out may have left its processes and files.
	rm -rf "$MNT"/st-*
	mountpoint -q "$MNT" || mount_fisc
}

# KUnit ran while the modules were being loaded, if the kernel has it: here is a suite
# of each.
count_kunit()
{
	local suite results line

	for suite in fisc_region fisc_memory; do
		[ ! -e "$DEBUGFS/kunit" ] ||
			name_check "KUnit ran: $suite" test -e "$DEBUGFS/kunit/$suite/results"
	done
	for results in "$DEBUGFS"/kunit/fisc*/results; do
		[ -e "$results" ] || continue
		echo "# $results"
		while IFS= read -r line; do
			printf '%s\n' "$line"
			[[ $line != "    "@(ok|not\ ok)\ * ]] || count "${line#    }"
		done <"$results"
	done
	# Once is enough: programs load the module many times.
	[ ! -e "$KUNIT_FILTER" ] || echo none >"$KUNIT_FILTER"
}

mount_fisc()
{
	mkdir -p "$MNT"
	mount -t fisc none "$MNT"
}

# Frames of unlinked files go with their last users, in a moment.
none_left()
{
	local i

	for i in {1..100}; do
		[ "$(counter core frames)" != 0 ] || break
		sleep 0.1
	done
	for i in frames present regions vms map_bytes; do
		[ "$(counter core "$i")" = 0 ] || {
			echo "# $i: $(counter core "$i")"
			return 1
		}
	done
}

# programs_of PROGRAM[:CASE]|races|others...
programs_of()
{
	local word

	for word; do
		case $word in
		races)	printf '%s\n' "${RACES[@]}" ;;
		others)	printf '%s\n' "${OTHERS[@]}" ;;
		*)	echo "$word" ;;
		esac
	done
}

main()
{
	local program name case

	[ $# -gt 0 ] || usage
	build=$1
	shift
	[ -e "$build/fisc.ko" ] || usage
	build=$(realpath "$build")
	programs=$build/selftests
	[ -d "$programs" ] || programs=$(dirname "$build")/selftests
	[ $# -gt 0 ] || set -- races others

	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	modprobe -q null_blk nr_devices=0
	modprobe -q loop
	modprobe -q vhost_vdpa
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"

	echo "KTAP version 1"
	name_check "module loads" insmod "$build/fisc.ko"
	name_check "device module loads" insmod "$build/fisc_vdpa.ko"
	count_kunit
	name_check "device module unloads" rmmod fisc_vdpa
	name_check "file system mounts" mount_fisc
	for program in $(programs_of "$@"); do
		name=${program%%:*}
		case=${program#"$name"}
		run_program "$name" "${case#:}"
	done
	name_check "file system unmounts" umount "$MNT"
	name_check "nothing is left" none_left
	name_check "module unloads" rmmod fisc
	[ ! -e "$KMEMLEAK" ] || name_check "kmemleak finds nothing" kmemleak_finds_nothing

	totals
}

main "$@"
