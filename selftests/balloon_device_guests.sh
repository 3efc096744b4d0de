#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/balloon_device_guests.sh BUILD_DIR: fisc's balloon device and real guests,
# with the kernel's driver and with the paired one. Runs as root inside the lab host
# (see lab/host and lab/guest). Prints KTAP, then "N passed, N failed, N skipped".
set -u

. "$(dirname "$(realpath "$0")")/balloon_cases.sh"

TAX=/sys/kernel/fisc/tax
# What the paired driver leaves to the guest: less than by default, for half of it
# is to be had here.
FLOOR_MB=32
# Fills the guest's memory, but for what it needs to live, and frees it.
FILL="mount -o remount,size=100% /dev/shm
	head -c \$(awk '/^MemAvailable/ { print (\$2 - 24576) * 1024 }' /proc/meminfo) /dev/zero |
	tr '\\0' x >/dev/shm/fill; rm -f /dev/shm/fill"

show_state()
{
	show_guests
	grep -H . "$BALLOON"/{target,actual,popped,stat_short} "$VM"/{target,allocated} 2>/dev/null |
		sed 's/^/# /'
	sed 's/^/# balloon /' "$DEBUGFS/fisc/balloon"
}

actual_is_above()
{
	[ "$(<"$BALLOON/actual")" -gt "$1" ]
}

load()
{
	inside "insmod /fisc/$OURS.ko floor_mb=$FLOOR_MB"
}

# Where guests have their memory: options of lab/guest.
MEMORY="--backend $MNT"

# start [DISK]
start()
{
	local devices="-device vhost-vdpa-device-pci,vhostdev=/dev/vhost-vdpa-0"

	[ $# -eq 0 ] || devices+=" -drive file=$1,format=raw,if=none,id=disk -device virtio-blk-pci,drive=disk"
	# shellcheck disable=SC2086
	guest start 1 --prefix dev --mem "${MEM_MB}M" $MEMORY --timeout "$PATIENCE" \
		${1:+--disk-modules} --qemu-extra "$devices"
}

balloon_is_empty()
{
	[ "$(counter balloon ballooned)" = 0 ]
}

# --- cases ------------------------------------------------------------------------

device_is_made()
{
	vdpa dev add name dev1 mgmtdev fisc && wait_until 10 test -c /dev/vhost-vdpa-0
}

guest_boots()
{
	start && wait_until 20 test -e "$BALLOON/stat_total" &&
		wait_until 20 cat "$BALLOON/stat_total"
}

# Give all of the guest's memory a frame, so that there is one to free, whatever
# page it gives. What is free already has been reported, and is not again, but for
# what the guest frees from now on; that may be while the file is filled.
fill_file()
{
	reported=$(settled counter balloon reported)
	fallocate -l "${MEM_MB}M" "$MNT/dev1"
}

# What it takes is free on the host, within 1 %; so is what the guest reports free
# meanwhile.
frames_are_freed()
{
	local bytes=$1 reported freed

	fill_file || return 1
	reaches "$bytes" || return 1
	freed=$((MEM_MB * MIB - $(counter core frames) * 4096))
	reported=$((($(counter balloon reported) - reported) * 4096))
	say "$((bytes / MIB)) MiB in the balloon, $((freed / MIB)) MiB freed, $((reported / MIB)) MiB reported free"
	[ $((freed * 100)) -ge $((bytes * 99)) ] &&
		[ $(((freed - reported) * 100)) -le $((bytes * 101)) ] && reaches 0
}

tenth_is_freed()
{
	frames_are_freed $((MEM_MB * MIB / 10 / 4096 * 4096))
}

half_is_freed()
{
	frames_are_freed $((MEM_MB * MIB / 2))
}

# Whatever max allows, as far as the guest can; and back.
guest_gives_what_it_can()
{
	local had

	echo "$((MEM_MB * MIB))" >"$BALLOON/target"
	[ "$(<"$BALLOON/target")" = "$(<"$BALLOON/max")" ] || return 1
	wait_until "$PATIENCE" actual_is_above $((MEM_MB * MIB * 45 / 100))
	had=$(settled cat "$BALLOON/actual")
	say "$((had / MIB)) of $(($(<"$BALLOON/max") / MIB)) MiB"
	[ "$had" -gt $((MEM_MB * MIB * 45 / 100)) ] && reaches 0 &&
		inside "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep -q "mismatches 0"
}

balloon_max_is_reached()
{
	echo $((MEM_MB * MIB * 4 / 10)) >"$BALLOON/max"
	reaches $((MEM_MB * MIB * 4 / 10 / 4096 * 4096)) && reaches 0 && echo >"$BALLOON/max"
}

guest_says_how_it_is()
{
	local name

	for name in total free available; do
		[ "$(<"$BALLOON/stat_$name")" -gt $MIB ] || return 1
	done
	[ "$(<"$BALLOON/stat_total")" -le $((MEM_MB * MIB)) ]
}

driver_says_more()
{
	reaches $((64 * MIB)) || return 1
	sleep 3
	say "large $(<"$BALLOON/stat_large"), small $(<"$BALLOON/stat_small")"
	[ $(($(<"$BALLOON/stat_large") * 512 + $(<"$BALLOON/stat_small"))) = $((64 * 256)) ] &&
		[ "$(<"$BALLOON/stat_large")" -gt 16 ] && [ "$(<"$BALLOON/stat_short")" = 0 ] &&
		reaches 0
}

# Of the pages that the guest gets back, most are in large frames. It leaves some of its
# memory alone, part of which was in the balloon.
memory_comes_back_large()
{
	local chunks large pages

	echo 1 >/sys/kernel/fisc/large/enabled
	inside "$FILL" && reaches $((96 * MIB)) || return 1
	sleep 3
	chunks=$(<"$BALLOON/stat_large")
	large=$(<"$VM/large_pages") pages=$(<"$VM/private_pages")
	reaches 0 && inside "$FILL" || return 1
	large=$(($(<"$VM/large_pages") - large)) pages=$(($(<"$VM/private_pages") - pages))
	say "$chunks chunks in the balloon, $large large pages and $pages pages more without it"
	[ "$chunks" -gt 24 ] && [ "$large" -gt $((chunks / 2)) ] &&
		[ $((large * 512 * 100)) -ge $((pages * 80)) ]
}

# Targets at random, while the guest checks its memory.
memory_is_as_it_was_left()
{
	local end

	# There may be those of the driver before.
	inside "rm -f /run/check.*" || return 1
	guest bg dev1 -- "/fisc/memcheck --mb 48 --seconds 45 --write-rate 2000 >/run/check.log 2>&1
		echo \$? >/run/check.end"
	for ((end = SECONDS + PATIENCE; SECONDS < end; )); do
		[ -z "$(inside 'cat /run/check.end 2>/dev/null')" ] || break
		for _ in 1 2 3 4; do
			echo $((RANDOM % 100 * MIB + RANDOM % 256 * 4096)) >"$BALLOON/target"
			sleep 1
		done
	done
	say "$(inside 'tail -n 1 /run/check.log'); popped $(<"$BALLOON/popped")"
	[ "$(inside 'cat /run/check.end')" = 0 ] && reaches 0
}

drivers_change_while_inflated()
{
	reaches $((50 * MIB)) || return 1
	load && wait_until "$PATIENCE" actual_is $((50 * MIB)) || return 1
	inside "rmmod $OURS" && wait_until "$PATIENCE" actual_is $((50 * MIB)) || return 1
	load && wait_until "$PATIENCE" actual_is $((50 * MIB)) && reaches 0
}

# The balloon gives way, or there would be a kill.
guest_that_needs_its_memory_gets_it()
{
	local mb

	mb=$(inside "awk '/^MemAvailable/ { print int(\$2 / 1024) - 40 }' /proc/meminfo")
	reaches $((80 * MIB)) || return 1
	inside "/fisc/memcheck --mb $mb --seconds 3" | tail -n 1 | grep "mismatches 0" || return 1
	say "$mb MiB used; the balloon holds $(($(<"$BALLOON/actual") / MIB)) MiB"
	[ "$(inside "sed -n 's/^oom_kill //p' /proc/vmstat")" = 0 ] && reaches 0
}

# The VM has a target below so many bytes, and no more than that.
is_within_target()
{
	[ "$(<"$VM/target")" -lt "$1" ] &&
		[ "$(<"$VM/allocated")" -le $(($(<"$VM/target") + MIB)) ]
}

# Less than the guest has is there to be had: its balloon takes the rest.
balloon_follows_the_tax()
{
	local followed actual

	# The balloon does what paging would do, where there is swap.
	fill_file && echo >"$BALLOON/target" && echo 1 >"$TAX/overcommit" &&
		echo $((160 * MIB)) >"$TAX/capacity" || return 1
	wait_until "$PATIENCE" is_within_target $((160 * MIB))
	followed=$?
	actual=$(<"$BALLOON/actual")
	say "target $(($(<"$VM/target") / MIB)), allocated $(($(<"$VM/allocated") / MIB)), balloon $((actual / MIB)) MiB"
	echo 0 >"$TAX/capacity"
	[ "$followed" = 0 ] && [ "$actual" -gt $((64 * MIB)) ] &&
		wait_until "$PATIENCE" actual_is 0
}

# QEMU resets the device when the guest is stopped, which its driver does not notice.
balloon_is_the_same_after_a_stop()
{
	reaches $((64 * MIB)) || return 1
	guest qmp dev1 '{"execute": "stop"}' >/dev/null
	sleep 1
	actual_is $((64 * MIB)) || return 1
	guest qmp dev1 '{"execute": "cont"}' >/dev/null
	wait_until "$PATIENCE" actual_is $((64 * MIB)) && reaches $((80 * MIB)) && reaches 0
}

# All its devices are stopped and started again, and nobody was asleep.
suspended_guest_is_as_it_was()
{
	reaches $((64 * MIB)) &&
		inside "echo devices >/sys/power/pm_test && echo freeze >/sys/power/state;
			echo none >/sys/power/pm_test" &&
		wait_until "$PATIENCE" actual_is $((64 * MIB)) && reaches 0 &&
		inside "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep -q "mismatches 0"
}

reset_guest_has_an_empty_balloon()
{
	reaches $((64 * MIB)) || return 1
	guest qmp dev1 '{"execute": "set-action", "arguments": {"reboot": "reset"}}' >/dev/null &&
		guest qmp dev1 '{"execute": "system_reset"}' >/dev/null || return 1
	guest wait-ready --timeout "$PATIENCE" dev1 || return 1
	# The driver that starts has an empty balloon, and is told the target, too.
	wait_until "$PATIENCE" actual_is $((64 * MIB)) && reaches 0 &&
		inside "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep -q "mismatches 0"
}

# The kernel that guests boot is on the disk, and their initramfs.
guest_boots_with_a_disk()
{
	local files=/run/kexec

	guest kill -9 dev1 && rm "$MNT/dev1" && mkdir "$files" &&
		cp /usr/lib/fisc/guest/vmlinuz "$files/kernel" &&
		cp /run/fisc-guests/.initramfs "$files/initramfs" &&
		truncate -s 64M "$files.img" && mke2fs -q -t ext4 -d "$files" "$files.img" &&
		start "$files.img" &&
		inside "for m in /fisc/disk/*.ko; do insmod \$m; done
			mkdir /disk && mount -o ro /dev/vda /disk"
}

boot_id()
{
	guest exec --timeout 5 dev1 -- "cat /proc/sys/kernel/random/boot_id"
}

another_boot_than()
{
	local id

	id=$(boot_id) && [ -n "$id" ] && [ "$id" != "$1" ]
}

# Another kernel takes the guest over, without a reset of the machine and without a
# word from the driver. It is put where it belongs, be that in the balloon, and runs only
# if its checksum is right.
kexeced_guest_has_an_empty_balloon()
{
	local old

	load && reaches $((64 * MIB)) && inside "/fisc/kexec /disk/kernel /disk/initramfs" &&
		old=$(boot_id) && guest bg dev1 -- "sleep 1; /fisc/kexec" || return 1
	wait_until "$PATIENCE" another_boot_than "$old" || return 1
	# The kernel's driver of the guest that boots is told the target, too.
	wait_until "$PATIENCE" actual_is $((64 * MIB)) &&
		[ "$(counter balloon ballooned)" = $((64 * 256)) ] && load && reaches 0 &&
		frames_are_freed $((64 * MIB)) &&
		inside "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep -q "mismatches 0"
}

killed_vmm_leaves_nothing()
{
	reaches $((64 * MIB)) && guest kill -9 dev1 && wait_until 20 balloon_is_empty &&
		rm "$MNT/dev1" && wait_until 20 eval '[ "$(counter core frames)" = 0 ]'
}

# All of vDPA would wait for the VMM.
device_in_use_stays()
{
	timeout 20 vdpa dev del dev1 && [ -e /sys/bus/vdpa/devices/dev1 ] && ! rmmod fisc_vdpa &&
		timeout 20 vdpa dev show dev1 && reaches $((16 * MIB)) && reaches 0
}

# --- a guest on ordinary memory ------------------------------------------------------

adopt()
{
	echo "$(</run/fisc-guests/dev1/pid) dev1" >/sys/kernel/fisc/adopt &&
		wait_until "$PATIENCE" is_adopted dev1 && say "$(adoption dev1)"
}

release()
{
	echo release >"$VM/adoption" && wait_until "$PATIENCE" is_released dev1
}

# Its driver waits for an answer when it starts, and when it ends.
ordinary_guest_has_the_device()
{
	MEMORY=--anon
	start && load && inside "rmmod $OURS" && [ "$(counter balloon needs_reset)" = "$resets" ]
}

ordinary_guest_is_adopted_with_it()
{
	adopt && reaches $((64 * MIB)) &&
		inside "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep -q "mismatches 0"
}

# What its balloon holds comes back, and the driver lives.
adopted_guest_is_released_with_it()
{
	release && wait_until "$PATIENCE" balloon_is_empty && load && inside "rmmod $OURS" &&
		inside "/fisc/memcheck --mb 96 --seconds 5" | tail -n 1 | grep -q "mismatches 0" &&
		[ "$(counter balloon needs_reset)" = "$resets" ]
}

guest_is_adopted_again_with_it()
{
	adopt && reaches $((64 * MIB)) && reaches 0 && release &&
		guest kill -9 dev1 && [ "$(counter balloon needs_reset)" = "$resets" ]
}

device_goes()
{
	timeout 20 vdpa dev del dev1 && [ "$(counter balloon devices)" = 0 ]
}

modules_go()
{
	umount "$MNT" && rmmod fisc_vdpa && rmmod fisc
}

both_drivers()
{
	check guest_says_how_it_is
	check tenth_is_freed
	check half_is_freed
	check balloon_max_is_reached
	check guest_gives_what_it_can
	check memory_is_as_it_was_left
	check guest_that_needs_its_memory_gets_it
	check balloon_follows_the_tax
	check balloon_is_the_same_after_a_stop
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc_vdpa.ko" ] || usage
	set_up "$1" || exit 1
	echo "KTAP version 1"
	check device_is_made
	check guest_boots
	say "the kernel's driver"
	both_drivers
	check drivers_change_while_inflated
	say "the paired driver"
	both_drivers
	check driver_says_more
	check memory_comes_back_large
	check suspended_guest_is_as_it_was
	check reset_guest_has_an_empty_balloon
	# Two kernels, emulated, take their time.
	if [ -n "${KEXEC-}" ]; then
		check guest_boots_with_a_disk
		check kexeced_guest_has_an_empty_balloon
	fi
	check device_in_use_stays
	check killed_vmm_leaves_nothing
	resets=$(counter balloon needs_reset)
	check ordinary_guest_has_the_device
	check ordinary_guest_is_adopted_with_it
	check adopted_guest_is_released_with_it
	check guest_is_adopted_again_with_it
	check device_goes
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	check modules_go
	echo "1..$((passed + failed + skipped))"
	totals
}

main "$@"
