#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# selftests/soak.sh BUILD_DIR: guests that check their own memory, promised twice what
# there is, while everything that can be changed or can fail does so at random. Runs as
# root inside the lab host (see lab/host). Prints KTAP, then "N passed, N failed,
# N skipped", and leaves /out/summary.json.
#
# GUESTS         number of guests (8)
# MEM_MB         memory of each (192)
# CHECK_MB       of which it checks so much (48)
# SECONDS_SOAK   for how long (3600)
# SECONDS_ROUND  and how often anew (60)
# PAUSE          seconds between two events (2)
# PATIENCE       seconds for a guest to boot, or to answer (900)
# SEED           of the random choices, chosen and said if not given: the same one makes
#                the same choices. When guests have come so far is up to the host.
set -u

PATIENCE=${PATIENCE:-900}
HERE=$(dirname "$(realpath "$0")")
# shellcheck source=lab/lib.sh
. "$HERE/../lab/lib.sh"
# shellcheck source=selftests/cases.sh
. "$HERE/cases.sh"

GUESTS=${GUESTS:-8}
MEM_MB=${MEM_MB:-192}
CHECK_MB=${CHECK_MB:-48}
SECONDS_SOAK=${SECONDS_SOAK:-3600}
SECONDS_ROUND=${SECONDS_ROUND:-60}
PAUSE=${PAUSE:-2}
# Guests need the CPU more than this script.
POLL=3
SEED=${SEED:-$((SRANDOM % 1000000))}

MNT=/dev/fisc
RUN=/run/soak
CONSOLES=/run/fisc-guests
MIB=1048576
PROMISED=$((GUESTS * MEM_MB * MIB))
# What of a stopped guest is compared.
HELD_MB=24
# What balloons leave to guests.
FLOOR_MB=32
# Guests wait for memory, and for a CPU: that is no lock-up.
QUIET="nowatchdog rcupdate.rcu_cpu_stall_suppress=1"
# One of these has an I/O error for each write while memory for it is limited, the other
# takes its time. Both come and go.
ZRAM=/sys/block/zram0
NULLB=/sys/kernel/config/nullb/soak
SLOW_NS=2000000
SWAPS=(/dev/zram0 /dev/soak)
# Memory cgroups that VMMs are moved between, and what of their own memory is charged
# there at most: it is enough, if not always at once.
CGROUPS=/sys/fs/cgroup
VMM_GROUPS=(soak_free soak_high soak_max)
declare -A limit_of=([soak_high]=memory.high=$((GUESTS * 24))M
	[soak_max]=memory.max=$((GUESTS * 96))M)
# A VMM that is killed is gone after so many seconds, however slow the host is.
GONE_S=60

# What is done at random, and how often in proportion. Guests boot one at a time.
EVENTS=(capacity:10 claim:8 tax:3 balloon:8 twitch:4 domain:8 scan:6 large:5 reclaim:6
	levels:2 sample:2 cgroup:5 reboot:3 kill:3 kill_waiting:5 stop:4 swap:4
	write_errors:3 failing_allocations:5)
LEVELS=("6 4 2 1" "12 9 6 3" "20 15 5 1" "3 2 1 0")

declare -A events=() states=([high]=0 [clear]=0 [soft]=0 [hard]=0 [low]=0)
declare -A pid_of=() lines_of=() rounds_of=()
mismatched_bytes=0 rounds=0 cut_short=0 checked=0 written=0 guest_complaints=0
guests_lost=0 refused=0 splats=0 leaked_frames=0 leaked_swap=0 seconds=0
last_state_ms=0 longest_blocked_s=0 turns=0
declare -A blocked_since=()

show_state()
{
	show_guests
	grep -v "_us_" "$DEBUGFS/fisc/reclaim" | sed 's/^/# reclaim /'
	grep -Hs . "$SYSFS"/vms/*/{target,allocated,swapped,reclaim,blocked_ms} | sed 's/^/# /'
	sed 's/^/# /' /proc/swaps
}

# shellcheck source=selftests/soak_guests.sh
. "$HERE/soak_guests.sh"
# shellcheck source=selftests/soak_events.sh
. "$HERE/soak_events.sh"

# --- the soak ------------------------------------------------------------------------

# What can happen, and has not so far.
missing_events()
{
	local event

	for event in "${EVENTS[@]%:*}"; do
		[ "$event" != failing_allocations ] || can_fail_allocations || continue
		[ -n "${events[$event]-}" ] || echo "$event"
	done
}

# Events with their weights: one at a time, of a guest to which nothing else is done. In
# the second half, every other turn is for those that are missing.
one_event()
{
	local event guest what missing=()

	event=${wheel[RANDOM % ${#wheel[@]}]}
	guest=vm$((RANDOM % GUESTS + 1))
	choose
	[ $((++turns % 2)) = 0 ] || [ "$SECONDS" -lt "$half" ] || {
		mapfile -t missing <<<"$(missing_events)"
		event=${missing[turns / 2 % (${#missing[@]} + 1)]:-$event}
	}
	what=$guest
	[ "$guest" != "$busy" ] && [ -n "${pid_of[$guest]}" ] || case $event in
	claim|balloon|twitch|domain|cgroup|reboot|kill|kill_waiting|stop)
		return ;;
	esac
	"event_$event" || return
	events[$event]=$((${events[$event]-0} + 1))
	say "$SECONDS s: $event $what"
}

# States that have begun since; what is done in each is in the module's own counters.
note_states()
{
	local name value rest

	while read -r name value rest; do
		[[ $name == at_ms_* ]] || continue
		name=${name#at_ms_} name=${name%:}
		[ "$name" -gt "$last_state_ms" ] || continue
		last_state_ms=$name
		states[$value]=$((states[$value] + 1))
	done <"$DEBUGFS/fisc/reclaim"
}

# How long VMs have had to wait for more memory in one go: since memory became that short.
note_blocked()
{
	local name reason since

	for name in "${!pid_of[@]}"; do
		since=${blocked_since[$name]-}
		{ read -r reason <"$SYSFS/vms/$name/reclaim"; } 2>/dev/null || reason=''
		if [ "$reason" != blocked ]; then
			unset "blocked_since[$name]"
		elif [ "${since%% *}" != "$last_state_ms" ]; then
			blocked_since[$name]="$last_state_ms $SECONDS"
		elif [ $((SECONDS - ${since#* })) -gt "$longest_blocked_s" ]; then
			longest_blocked_s=$((SECONDS - ${since#* }))
		fi
	done
}

look()
{
	local name

	end_failures
	end_other_jobs
	end_guest_job
	note_states
	note_blocked
	for name in $(names); do
		[ "$name" != "$busy" ] || continue
		[ -z "${pid_of[$name]}" ] || kill -0 "${pid_of[$name]}" 2>/dev/null || {
			collect "$name"
			lost "$name" "its VMM has ended"
			pid_of[$name]=''
		}
		[ -n "${pid_of[$name]}" ] || job "$name" replace_guest "$name" 1
	done
	name=vm$((++looks % GUESTS + 1))
	[ "$name" = "$busy" ] || collect "$name"
}

report()
{
	say "$SECONDS s: state $(<"$SYSFS/reclaim/state") frames $(counter core frames)" \
		"swapped $(counter core swapped) out $(counter reclaim swap_out)" \
		"in $(counter reclaim swap_in) rounds $rounds, $cut_short of them cut short"
}

jobs_are_done()
{
	look
	[ -z "$busy" ] && [ "${#job_of[@]}" = 0 ]
}

calm()
{
	local name

	echo 0 >"$ZRAM/mem_limit"
	! can_fail_allocations || fail_allocations 0
	knob tax/capacity 0
	knob reclaim/paging 1
	wait_until $((3 * PATIENCE)) jobs_are_done
	knob share/run 1
	for name in $(names); do
		[ ! -e "$SYSFS/vms/$name/balloon" ] || knob "vms/$name/balloon/target" ''
		[ "$(kind "$name")" != qemu ] || wait_until "$PATIENCE" balloon "$name" "$MEM_MB" 2>/dev/null
	done
}

has_done_a_round()
{
	collect "$1"
	[ "${rounds_of[$1]}" -gt "$2" ]
}

# --- cases ------------------------------------------------------------------------

guests_boot()
{
	local name

	for name in $(names); do
		start_guest "$name" || return 1
		know "$name"
		rounds_of[$name]=0
	done
	# Not before, as those that boot need the CPU.
	echo 1 >"$SYSFS/share/run"
	for name in $(names); do
		begin_rounds "$name" || return 1
	done
}

guests_stay_while_everything_changes()
{
	local start=$SECONDS next=0 event what='' half=$((SECONDS + SECONDS_SOAK / 2))

	for event in "${EVENTS[@]}"; do
		for ((looks = ${event#*:}; looks > 0; looks--)); do
			wheel+=("${event%:*}")
		done
	done
	offer_a_bit_less
	while [ "$SECONDS" -lt $((start + SECONDS_SOAK)) ] && [ "$mismatched_bytes" = 0 ]; do
		one_event
		sleep "$PAUSE"
		look
		[ "$SECONDS" -lt "$next" ] || {
			report
			next=$((SECONDS + 60))
		}
	done
	seconds=$((SECONDS - start))
	report
	[ "$guests_lost" = 0 ]
}

# With memory for all of them again.
guests_are_all_there()
{
	local name before

	calm
	for name in $(names); do
		before=${rounds_of[$name]}
		wait_until $((PATIENCE + SECONDS_ROUND)) has_done_a_round "$name" "$before"
		[ "${rounds_of[$name]}" -gt "$before" ] || lost "$name" "it has stopped checking"
	done
	[ "$guests_lost" = 0 ]
}

no_byte_was_wrong()
{
	local nr

	while read -r nr; do
		mismatched_bytes=$((mismatched_bytes + nr))
	done <"$RUN/wrong"
	say "$rounds rounds, $cut_short cut short, $checked pages checked, $written written"
	say "$(wc -l <"$RUN/wrong") stopped guests compared, $(wc -l <"$RUN/resets") resets while booting"
	[ "$mismatched_bytes" = 0 ] && [ "$guest_complaints" = 0 ]
}

it_was_no_idle_test()
{
	swap_out=$(counter reclaim swap_out) swap_in=$(counter reclaim swap_in)
	blocked_max_us=$(counter reclaim blocked_max_us)
	merged=$(counter share merged)
	note_states
	[ "$swap_out" -gt 0 ] && [ "$swap_in" -gt 0 ] && [ "$merged" -gt 0 ] &&
		[ "$rounds" -ge "$GUESTS" ] && [ "${#events[@]}" -gt 1 ]
}

everything_happened()
{
	local missing

	missing=$(missing_events)
	say "missing: ${missing:-nothing}"
	[ -z "$missing" ] && [ "$(sum_of moves 2)" -gt 0 ] && [ "$(sum_of twitches 1)" -gt 0 ]
}

killed_vmms_were_gone_soon()
{
	say "gone after ${slowest_ms[kill]} ms at most, ${slowest_ms[kill_waiting]} if they waited"
	[ "$late_exits" = 0 ]
}

nobody_waited_for_ever()
{
	say "$longest_blocked_s s in one go at most"
	[ "$longest_blocked_s" -lt "$PATIENCE" ]
}

nothing_is_left_of_killed_vmms()
{
	guest kill -9 --all && rm "$MNT"/vm*
	wait_until 60 eval '[ "$(counter core frames)" = 0 ] && [ "$(counter core swapped)" = 0 ]'
	leaked_frames=$(counter core frames)
	leaked_swap=$(counter core swapped)
	[ "$leaked_frames" = 0 ] && [ "$leaked_swap" = 0 ] && [ "$(counter core vms)" = 0 ]
}

cgroups_go()
{
	wait_until 30 rmdir "${VMM_GROUPS[@]/#/$CGROUPS/}" 2>/dev/null
}

swap_is_empty()
{
	swapoff "${SWAPS[@]}" && [ "$(wc -l </proc/swaps)" = 1 ]
}

devices_go()
{
	local name

	for name in $(names); do
		[ ! -e "/sys/bus/vdpa/devices/$name" ] || timeout 60 vdpa dev del "$name" || return 1
	done
}

modules_go()
{
	umount "$MNT" && rmmod fisc_vdpa && rmmod fisc
}

kernel_said_nothing()
{
	sleep 1
	splats=$(grep -acE "$SPLATS" "$RUN/dmesg")
	[ "$splats" = 0 ]
}

# --- beginning and end -------------------------------------------------------------

make_swap()
{
	modprobe zram && echo "$((GUESTS * MEM_MB))M" >"$ZRAM/disksize" || return 1
	modprobe null_blk nr_devices=0
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config || return 1
	mkdir "$NULLB" && echo $((GUESTS * MEM_MB / 4)) >"$NULLB/size" &&
		echo 1 >"$NULLB/memory_backed" && echo 4096 >"$NULLB/blocksize" &&
		echo 2 >"$NULLB/irqmode" && echo "$SLOW_NS" >"$NULLB/completion_nsec" &&
		echo 1 >"$NULLB/power" || return 1
	# Both at the same priority, so that both are used.
	for swap in "${SWAPS[@]}"; do
		mkswap -q "$swap" && swapon -p 5 "$swap" || return 1
	done
}

make_devices()
{
	local name

	for name in $(names); do
		[[ $(kind "$name") =~ ^(paired|kernel)$ ]] || continue
		vdpa dev add name "$name" mgmtdev fisc &&
			wait_until 30 compgen -G "/sys/bus/vdpa/devices/$name/vhost-vdpa-*" >/dev/null ||
			return 1
	done
}

make_cgroups()
{
	local group limit

	echo +memory >"$CGROUPS/cgroup.subtree_control" || return 1
	for group in "${VMM_GROUPS[@]}"; do
		mkdir "$CGROUPS/$group" || return 1
		limit=${limit_of[$group]-}
		[ -z "$limit" ] || echo "${limit#*=}" >"$CGROUPS/$group/${limit%=*}" || return 1
	done
}

set_up()
{
	local file

	mountpoint -q "$DEBUGFS" || mount -t debugfs none "$DEBUGFS"
	[ ! -e "$KMEMLEAK" ] || echo clear >"$KMEMLEAK"
	mkdir -p "$RUN" "$MNT"
	for file in wrong resets moves twitches; do
		: >"$RUN/$file"
	done
	# What nobody ever writes to: see kill_vmm().
	mkfifo "$RUN/never" && exec {never}<>"$RUN/never" || return 1
	dmesg --follow >"$RUN/dmesg" &
	modprobe vhost_vdpa && insmod "$build/fisc.ko" && insmod "$build/fisc_vdpa.ko" &&
		mount -t fisc none "$MNT" && make_swap && make_devices && make_cgroups &&
		prepare_failing &&
		echo guests >"$SYSFS/share/domain" &&
		echo 1 >"$SYSFS/tax/overcommit"
}

# sum_of FILE COLUMN: of what jobs have noted there.
sum_of()
{
	awk -v column="$2" '{ sum += $column } END { print sum + 0 }' "$RUN/$1"
}

# pairs NAME...: of an associative array, as an object of JSON.
pairs()
{
	local -n array=$1
	local name text=''

	for name in "${!array[@]}"; do
		text+=", \"$name\": ${array[$name]}"
	done
	echo "{${text#, }}"
}

summary()
{
	cat <<-END
		{
		  "hours": $(awk -v s="$seconds" 'BEGIN { printf "%.3f", s / 3600 }'),
		  "mismatched_bytes": $mismatched_bytes,
		  "splats": $splats,
		  "leaked_frames": $leaked_frames,
		  "leaked_swap_pages": $leaked_swap,
		  "guests_lost": $guests_lost,
		  "guests_reset_while_booting": $(wc -l <"$RUN/resets"),
		  "guest_complaints": $guest_complaints,
		  "seed": $SEED,
		  "guests": $GUESTS,
		  "guest_mib": $MEM_MB,
		  "checked_mib": $CHECK_MB,
		  "rounds": $rounds,
		  "rounds_cut_short": $cut_short,
		  "pages_checked": $checked,
		  "pages_written": $written,
		  "stopped_guests_compared": $(wc -l <"$RUN/wrong"),
		  "swap_out": ${swap_out-0},
		  "swap_in": ${swap_in-0},
		  "blocked_max_us": ${blocked_max_us-0},
		  "blocked_longest_s": $longest_blocked_s,
		  "exit_max_ms": $(pairs slowest_ms),
		  "late_exits": $late_exits,
		  "killed_in": $(pairs killed_in),
		  "moves_to_cgroups": $(sum_of moves 1),
		  "pages_paged_while_moving": $(sum_of moves 2),
		  "balloon_twitches": $(sum_of twitches 1),
		  "merged": ${merged-0},
		  "refused": $refused,
		  "states": $(pairs states),
		  "events": $(pairs events)
		}
	END
}

main()
{
	[ $# -eq 1 ] && [ -e "$1/fisc_vdpa.ko" ] || usage
	build=$(realpath "$1")
	echo "KTAP version 1"
	RANDOM=$SEED
	say "seed $SEED"
	if ! set_up; then
		echo "not ok 1 - set_up"
		echo "0 passed, 1 failed, 0 skipped"
		exit 1
	fi
	check guests_boot
	check guests_stay_while_everything_changes
	check guests_are_all_there
	check no_byte_was_wrong
	check it_was_no_idle_test
	check killed_vmms_were_gone_soon
	check nobody_waited_for_ever
	if [ "$SECONDS_SOAK" -ge 3600 ]; then
		check everything_happened
	fi
	check nothing_is_left_of_killed_vmms
	check cgroups_go
	check swap_is_empty
	check devices_go
	check modules_go
	check kernel_said_nothing
	[ ! -e "$KMEMLEAK" ] || check kmemleak_finds_nothing
	summary >/out/summary.json
	sed 's/^/# /' /out/summary.json
	totals
}

main "$@"
