#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/balloon_fuzz.sh BUILD_DIR: balloon_fuzz for long. Runs as root inside the
# lab host (see lab/host). Prints KTAP, then "N passed, N failed, N skipped".
# OPERATIONS is how many it does on rings (10000000), SEED the seed of these; the
# seeds of balloon.seeds come before.
set -u

. "$(dirname "$(realpath "$0")")/cases.sh"

OPERATIONS=${OPERATIONS:-10000000}
SEED=${SEED:-$(date +%s)}
MNT=/dev/fisc

show_state()
{
	sed 's/^/# balloon /' "$DEBUGFS/fisc/balloon"
	sed 's/^/# core /' "$DEBUGFS/fisc/core"
}

fuzz()
{
	FISC_KO=$build/fisc.ko "$programs/balloon_fuzz" "$@" 2>&1 | sed -u 's/^/# /'
	[ "${PIPESTATUS[0]}" -eq 0 ]
}

modules_load()
{
	insmod "$build/fisc.ko" && mkdir -p "$MNT" && mount -t fisc none "$MNT"
}

known_seeds_find_nothing()
{
	fuzz -r "$(dirname "$(realpath "$0")")/balloon.seeds"
}

operations_find_nothing()
{
	say "seed $SEED, $OPERATIONS operations"
	fuzz -s "$SEED" -n "$OPERATIONS"
}

nobody_is_stuck()
{
	! ps -eo state,pid,comm | grep '^D' | sed 's/^/# /' | grep .
}

modules_unload()
{
	umount "$MNT" && { [ ! -e /sys/module/fisc_vdpa ] || rmmod fisc_vdpa; } && rmmod fisc
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc_vdpa.ko" ] || usage
	build=$(realpath "$1")
	programs=$(dirname "$build")/selftests
	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	echo "KTAP version 1"
	check modules_load
	check known_seeds_find_nothing
	check operations_find_nothing
	check wait_until 60 nobody_is_stuck
	check modules_unload
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	totals
}

main "$@"
