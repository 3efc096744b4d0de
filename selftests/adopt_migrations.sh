#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/adopt_migrations.sh BUILD_DIR: what management does to guests of QEMU that are
# adopted by policy: migrations of both kinds, saving, snapshots, dumps, and memory that is
# plugged and unplugged. Runs as root inside the lab host (see lab/host). Prints KTAP, then
# "N passed, N failed, N skipped".
set -u

. "$(dirname "$(realpath "$0")")/cases.sh"

MEM_MB=160
CHECK_MB=24
SECONDS_CHECK=${SECONDS_CHECK:-120}
PLUG_MB=128

AUTO=$SYSFS/adoption
MNT=/dev/fisc
FILES=/run/migrations

show_state()
{
	show_guests
	show_adoptions
}

# qmp GUEST COMMAND [ARGUMENTS]
qmp()
{
	guest qmp "$1" "{\"execute\": \"$2\"${3:+, \"arguments\": $3}}"
}

# The guest goes by another name: its QEMU's.
now=vm1

become()
{
	memcheck_of[$1]=${memcheck_of[$now]}
	guest kill -9 "$now" && wait_until "$PATIENCE" is_released "$now" || return 1
	now=$1
	wait_until "$PATIENCE" is_adopted "$now" && say "$now: $(adoption "$now")" && is_right
}

# It runs, and has found nothing wrong in its memory.
is_right()
{
	local answer

	answer=$(guest exec "$now" -- \
		"grep -a mismatch ${memcheck_of[$now]}.log | tail -n 1
		cat ${memcheck_of[$now]}.end; true") || return 1
	[[ $answer != *mismatches\ [1-9]* && $answer != *$'\n'[1-9]* ]] && return
	say "$now: $answer"
	return 1
}

# receive NAME URI CAPABILITY: start one that waits for a guest.
receive()
{
	guest start 1 --prefix "${1%?}" --first "${1#"${1%?}"}" --no-wait --mem "${MEM_MB}M" \
		--qemu-extra "-incoming defer" &&
		wait_until "$PATIENCE" [ -S "/run/fisc-guests/$1/qmp.sock" ] &&
		prepare "$1" "$3" && qmp "$1" migrate-incoming "{\"uri\": \"$2\"}" >/dev/null
}

# prepare NAME CAPABILITY: one of the two sides.
prepare()
{
	local capability

	for capability in postcopy-ram background-snapshot; do
		qmp "$1" migrate-set-capabilities "{\"capabilities\": [{\"capability\":
			\"$capability\", \"state\": $([ "$2" = "$capability" ] && echo true || echo false)}]}" \
			>/dev/null || return 1
	done
	qmp "$1" migrate-set-parameters \
		'{"max-bandwidth": 1073741824, "downtime-limit": 2000}' >/dev/null
}

migration()
{
	qmp "$1" query-migrate | grep -o '"status": "[a-z-]*"' | head -n 1
}

has_status()
{
	[[ $(migration "$1") = *"\"$2\""* ]]
}

has_ended()
{
	has_status "$1" completed || has_status "$1" failed
}

# send URI: and wait for its end.
send()
{
	qmp "$now" migrate "{\"uri\": \"$1\"}" >/dev/null &&
		wait_until "$PATIENCE" has_ended "$now" && has_status "$now" completed && return
	say "$now: $(migration "$now")"
	return 1
}

job_is_done()
{
	qmp "$1" query-jobs | grep -q "\"status\": \"concluded\""
}

# job GUEST COMMAND ARGUMENTS: to its end; the id is "job".
job()
{
	local answer

	qmp "$1" "$2" "{\"job-id\": \"job\", $3}" >/dev/null &&
		wait_until "$PATIENCE" job_is_done "$1" || return 1
	answer=$(qmp "$1" query-jobs)
	qmp "$1" job-dismiss '{"id": "job"}' >/dev/null
	[[ $answer != *error* ]] && return
	say "$answer"
	return 1
}

adopted_bytes()
{
	local word state bytes

	read -r state bytes word <<<"$(adoption "$1")"
	echo "${bytes:-0}"
}

has_adopted()
{
	[ "$(adopted_bytes "$1")" -ge "$2" ]
}

has_at_most()
{
	[ "$(adopted_bytes "$1")" -le "$2" ]
}

# --- cases ------------------------------------------------------------------------

guest_is_adopted_by_policy()
{
	start_udevd && echo 64M >"$AUTO/min_bytes" && echo all >"$AUTO/policy" &&
		guest start 1 --mem "${MEM_MB}M" --timeout "$PATIENCE" &&
		start_memcheck "$now" --mb "$CHECK_MB" --seconds "$SECONDS_CHECK" \
			--write-rate 500 || return 1
	wait_until "$PATIENCE" is_adopted "$now" && say "$(adoption "$now")"
}

# For longer than policy waits for a VM to have memory.
destination_is_left_alone_while_it_waits()
{
	receive vm2 "unix:$FILES/socket" postcopy-ram || return 1
	sleep 35
	is_released vm2 && is_right
}

adopted_guest_migrates_in_post_copy()
{
	prepare "$now" postcopy-ram &&
		qmp "$now" migrate-set-parameters '{"max-bandwidth": 4194304}' >/dev/null &&
		qmp "$now" migrate "{\"uri\": \"unix:$FILES/socket\"}" >/dev/null &&
		wait_until "$PATIENCE" has_status "$now" active &&
		qmp "$now" migrate-start-postcopy >/dev/null &&
		wait_until "$PATIENCE" has_ended "$now" && has_status "$now" completed || {
		say "$now: $(migration "$now")"
		return 1
	}
	say "$(qmp "$now" query-migrate | grep -o '"postcopy-requests": [0-9]*')"
	become vm2
}

adopted_guest_migrates_in_pre_copy()
{
	receive vm3 "unix:$FILES/socket" none && prepare "$now" none &&
		send "unix:$FILES/socket" && become vm3
}

adopted_guest_is_saved_and_restored()
{
	send "file:$FILES/saved" && guest kill -9 "$now" &&
		wait_until "$PATIENCE" is_released "$now" || return 1
	say "$(stat -c %s "$FILES/saved") bytes saved"
	memcheck_of[vm4]=${memcheck_of[$now]} now=vm4
	receive "$now" "file:$FILES/saved" none &&
		wait_until "$PATIENCE" is_adopted "$now" && is_right && rm "$FILES/saved"
}

# Some of its memory is written anew in between; a file system would do so.
adopted_guest_returns_to_a_snapshot()
{
	local disk='"node-name": "file", "filename": "/run/migrations/disk"'

	job "$now" blockdev-create \
		"\"options\": {\"driver\": \"file\", \"filename\": \"$FILES/disk\", \"size\": 0}" &&
		qmp "$now" blockdev-add "{\"driver\": \"file\", $disk}" >/dev/null &&
		job "$now" blockdev-create \
			'"options": {"driver": "qcow2", "file": "file", "size": 67108864}' &&
		qmp "$now" blockdev-add \
			'{"driver": "qcow2", "file": "file", "node-name": "disk"}' >/dev/null &&
		guest exec "$now" -- "echo before >/run/word" &&
		job "$now" snapshot-save \
			'"tag": "one", "vmstate": "disk", "devices": ["disk"]' &&
		guest exec "$now" -- "echo after >/run/word" &&
		qmp "$now" stop >/dev/null &&
		job "$now" snapshot-load \
			'"tag": "one", "vmstate": "disk", "devices": ["disk"]' &&
		qmp "$now" cont >/dev/null &&
		[ "$(guest exec "$now" -- "cat /run/word")" = before ] && is_right &&
		qmp "$now" blockdev-del '{"node-name": "disk"}' >/dev/null &&
		rm "$FILES/disk" && wait_until "$PATIENCE" is_adopted "$now"
}

# It has userfaultfd() protect all memory from being written.
background_snapshot_is_refused_or_done()
{
	local answer

	answer=$(qmp "$now" migrate-set-capabilities \
		'{"capabilities": [{"capability": "background-snapshot", "state": true}]}')
	say "$answer"
	if [[ $answer != *error* ]]; then
		send "file:$FILES/snapshot" && rm "$FILES/snapshot" || return 1
	fi
	prepare "$now" none && is_right
}

dump_has_the_memory_of_an_adopted_guest()
{
	qmp "$now" dump-guest-memory \
		"{\"paging\": false, \"protocol\": \"file:$FILES/dump\"}" >/dev/null || return 1
	[ "$(stat -c %s "$FILES/dump")" -ge $((MEM_MB << 20)) ] &&
		grep -qaF "fisc-guest: up after" "$FILES/dump" && rm "$FILES/dump" && is_right
}

# Where the module does not watch: released in the middle of a migration.
guest_is_released_while_it_migrates()
{
	receive vm5 "unix:$FILES/socket" none && prepare "$now" none &&
		qmp "$now" migrate-set-parameters '{"max-bandwidth": 4194304}' >/dev/null &&
		qmp "$now" migrate "{\"uri\": \"unix:$FILES/socket\"}" >/dev/null &&
		wait_until "$PATIENCE" has_status "$now" active &&
		echo release >"$SYSFS/vms/$now/adoption" &&
		wait_until "$PATIENCE" is_released "$now" || return 1
	qmp "$now" migrate-set-parameters '{"max-bandwidth": 1073741824}' >/dev/null &&
		wait_until "$PATIENCE" has_ended "$now" && has_status "$now" completed &&
		become vm5
}

guest_found_its_memory_as_it_left_it()
{
	end_memcheck "$now" "$SECONDS_CHECK" && guest kill -9 "$now" &&
		wait_until "$PATIENCE" is_released "$now" && [ "$(counter core frames)" = 0 ]
}

# A driver that guests have no use for, but this one.
guest_with_slots_is_adopted()
{
	local modules=/usr/lib/fisc/guest/disk driver

	driver=$(modinfo -k "$(ls /lib/modules | grep -v fisc | head -n 1)" -n virtio_mem) &&
		xz -dc "$driver" >"$modules/virtio_mem.ko" &&
		guest start 1 --prefix plug --disk-modules --timeout "$PATIENCE" \
			--mem "256M,slots=4,maxmem=1G" \
			--append memhp_default_state=online_movable \
			--qemu-extra "-object memory-backend-ram,id=ram,size=$((2 * PLUG_MB))M -device virtio-mem-pci,id=vmem,memdev=ram,requested-size=0" ||
		return 1
	guest exec plug1 -- "insmod /fisc/disk/virtio_mem.ko" &&
		wait_until "$PATIENCE" is_adopted plug1 && base=$(adopted_bytes plug1) &&
		say "$(adoption plug1)"
}

memory_of_guest()
{
	guest exec plug1 -- "sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo"
}

guest_has_at_least()
{
	[ "$(memory_of_guest)" -ge "$1" ]
}

use_memory_of_guest()
{
	guest exec --timeout 120 plug1 -- \
		"mount -o remount,size=300M /dev/shm
		dd if=/dev/urandom of=/dev/shm/file bs=1M count=$1 && md5sum </dev/shm/file >/run/sum"
}

memory_of_guest_is_right()
{
	[ "$(guest exec --timeout 120 plug1 -- "md5sum </dev/shm/file")" = \
		"$(guest exec plug1 -- "cat /run/sum")" ]
}

dimm_is_plugged_and_adopted()
{
	local before

	before=$(memory_of_guest)
	qmp plug1 object-add "{\"qom-type\": \"memory-backend-ram\", \"id\": \"dimm-ram\",
		\"size\": $((PLUG_MB << 20))}" >/dev/null &&
		qmp plug1 device_add '{"driver": "pc-dimm", "id": "dimm", "memdev": "dimm-ram"}' \
			>/dev/null &&
		wait_until "$PATIENCE" guest_has_at_least $((before + PLUG_MB * 1000)) &&
		wait_until "$PATIENCE" has_adopted plug1 $((base + (PLUG_MB << 20))) &&
		use_memory_of_guest 140 || return 1
	say "$(adoption plug1)"
	memory_of_guest_is_right
}

has_no_dimm()
{
	qmp plug1 query-memory-devices | grep -qv '"type": "dimm"'
}

unplugged_dimm_is_freed()
{
	guest exec plug1 -- "rm /dev/shm/file; echo 3 >/proc/sys/vm/drop_caches"
	qmp plug1 device_del '{"id": "dimm"}' >/dev/null &&
		wait_until "$PATIENCE" has_no_dimm &&
		qmp plug1 object-del '{"id": "dimm-ram"}' >/dev/null || return 1
	wait_until "$PATIENCE" has_at_most plug1 "$base" &&
		wait_until "$PATIENCE" eval \
			'[ "$(<"$SYSFS/vms/plug1/present_pages")" -le $((base >> 12)) ]' || return 1
	say "$(adoption plug1), $(<"$SYSFS/vms/plug1/present_pages") pages are present"
}

# resize MIB: what virtio-mem gives the guest.
resize()
{
	qmp plug1 qom-set "{\"path\": \"vmem\", \"property\": \"requested-size\",
		\"value\": $(($1 << 20))}" >/dev/null
}

virtio_mem_is_adopted_as_it_grows()
{
	local before

	before=$(memory_of_guest)
	resize "$PLUG_MB" && wait_until "$PATIENCE" guest_has_at_least $((before + PLUG_MB * 1000)) &&
		wait_until "$PATIENCE" has_adopted plug1 "$base" && use_memory_of_guest 140 ||
		return 1
	say "$(adoption plug1), $(<"$SYSFS/vms/plug1/present_pages") pages are present"
	memory_of_guest_is_right
}

virtio_mem_is_freed_as_it_shrinks()
{
	local before

	before=$(<"$SYSFS/vms/plug1/present_pages")
	guest exec plug1 -- "rm /dev/shm/file; echo 3 >/proc/sys/vm/drop_caches"
	resize 0 && wait_until "$PATIENCE" eval \
		'[ "$(qmp plug1 qom-get "{\"path\": \"vmem\", \"property\": \"size\"}")" = "{\"return\": 0}" ]' &&
		wait_until "$PATIENCE" eval \
			"[ \"\$(<$SYSFS/vms/plug1/present_pages)\" -lt $((before - PLUG_MB * 128)) ]" ||
		return 1
	say "$before pages were present, now $(<"$SYSFS/vms/plug1/present_pages")"
}

nothing_is_left()
{
	guest kill -9 --all && wait_until "$PATIENCE" eval '[ -z "$(ls "$MNT")" ]' &&
		[ "$(counter core frames)" = 0 ] && [ "$(counter core vms)" = 0 ] &&
		pkill systemd-udevd && umount "$MNT" && rmmod fisc
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc.ko" ] || usage
	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	mkdir -p "$FILES" "$MNT"
	insmod "$1/fisc.ko" && mount -t fisc none "$MNT" || exit 1
	echo "KTAP version 1"
	check guest_is_adopted_by_policy
	check destination_is_left_alone_while_it_waits
	check adopted_guest_migrates_in_post_copy
	check adopted_guest_migrates_in_pre_copy
	check adopted_guest_is_saved_and_restored
	check adopted_guest_returns_to_a_snapshot
	check background_snapshot_is_refused_or_done
	check dump_has_the_memory_of_an_adopted_guest
	check guest_is_released_while_it_migrates
	check guest_found_its_memory_as_it_left_it
	check guest_with_slots_is_adopted
	check dimm_is_plugged_and_adopted
	check unplugged_dimm_is_freed
	check virtio_mem_is_adopted_as_it_grows
	check virtio_mem_is_freed_as_it_shrinks
	check nothing_is_left
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	totals
}

main "$@"
