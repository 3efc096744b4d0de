# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# What the soak (soak.sh) does at random: failures that are made, and events.

# --- failures that are made --------------------------------------------------------

FAILING=("$DEBUGFS/fail_page_alloc" "$DEBUGFS/failslab")
write_errors_end='' allocations_end=''

can_fail_allocations()
{
	[ -e "${FAILING[0]}" ] && [ -e "${FAILING[1]}" ]
}

# Of fisc's own threads, and of whoever says so of itself (make-it-fail).
prepare_failing()
{
	local dir pid

	can_fail_allocations || return 0
	for dir in "${FAILING[@]}"; do
		echo Y >"$dir/task-filter"
		echo N >"$dir/ignore-gfp-wait"
		echo 0 >"$dir/verbose"
		echo -1 >"$dir/times"
	done
	echo N >"${FAILING[0]}/ignore-gfp-highmem"
	echo 0 >"${FAILING[0]}/min-order"
	for pid in $(pgrep '^fisc_'); do
		echo 1 >"/proc/$pid/make-it-fail"
	done
}

fail_allocations()
{
	local dir

	for dir in "${FAILING[@]}"; do
		echo "$1" >"$dir/probability"
	done
}

# fail_for SECONDS PERCENT
fail_for()
{
	allocations_end=$((SECONDS + $1))
	fail_allocations "$2"
}

end_failures()
{
	[ -z "$write_errors_end" ] || [ "$SECONDS" -lt "$write_errors_end" ] || {
		write_errors_end=''
		echo 0 >"$ZRAM/mem_limit"
	}
	[ -z "$allocations_end" ] || [ "$SECONDS" -lt "$allocations_end" ] || {
		allocations_end=''
		fail_allocations 0
	}
}

# --- events ------------------------------------------------------------------------

# Each has these random numbers, and uses what it needs of them: choices are the same
# for a seed, whatever comes of them. An event that is not possible now fails.
choose()
{
	a=$RANDOM b=$RANDOM c=$RANDOM d=$RANDOM
}

# knob FILE VALUE: which the module may refuse.
knob()
{
	{ echo "$2" >"$SYSFS/$1"; } 2>/dev/null || {
		refused=$((refused + 1))
		what+=" (refused)"
	}
}

vm_knob()
{
	what+=" $1 ${2:-none}"
	knob "vms/$guest/$1" "$2"
}

# offer BYTES: so much memory, but never so little that nothing goes on.
offer()
{
	local bytes=$(($1 < PROMISED / 4 ? PROMISED / 4 : $1))

	what+=" with $((bytes / MIB)) of $((PROMISED / MIB)) MiB"
	knob tax/capacity "$bytes"
}

# What guests have in memory and in swap.
wanted()
{
	echo $((($(counter core frames) + $(counter core swapped)) * 4096))
}

# Somebody is short, but not of much.
offer_a_bit_less()
{
	offer $(($(wanted) / 10 * 9))
}

# Between a half more and 2.5 times what there is is promised; or less is there than is
# in memory, again and again; or, as one that boots uses all that it has and would not
# come to an end, a bit less than what guests have.
event_capacity()
{
	what=''
	if [ $((a % 3)) = 0 ]; then
		offer $((PROMISED * 100 / (150 + b % 101)))
	elif [ -z "$busy" ]; then
		offer $(($(counter core frames) * 4096 / 100 * (60 + b % 36)))
	else
		offer $(($(wanted) / 100 * (85 + b % 11)))
	fi
}

event_claim()
{
	local shares=(low normal high 1 7777)

	case $((a % 5)) in
	0)	vm_knob min $((MEM_MB * (b % 41) / 100 * MIB)) ;;
	1)	vm_knob min '' ;;
	2)	vm_knob max $((MEM_MB * (60 + b % 41) / 100 * MIB)) ;;
	3)	vm_knob max '' ;;
	4)	vm_knob shares "${shares[b % 5]}" ;;
	esac
}

event_tax()
{
	what=$((a % 100))
	knob tax/tax_rate "$what"
}

event_balloon()
{
	case $(kind "$guest") in
	none)
		return 1 ;;
	qemu)
		what+=" leave $((MEM_MB - a % 25)) MiB"
		balloon "$guest" $((MEM_MB - a % 25)) 2>/dev/null || what+=" (late)" ;;
	*)
		[ $((a % 2)) = 0 ] || c=
		vm_knob balloon/target "${c:+$((c % (MEM_MB * 4 / 10) * MIB + b % 256 * 4096))}" ;;
	esac
}

# Its shared pages are copied: that may fail for want of memory.
event_domain()
{
	local domains=('' '' '' alone others)

	[ -z "$host_job" ] || return 1
	what+=" domain ${domains[a % 5]:-guests}"
	if can_fail_allocations && [ $((b % 2)) = 0 ]; then
		what+=", $((c % 30)) % of allocations fail"
		fail_for 10 $((c % 30))
		move_guest "$guest" "${domains[a % 5]}" failing 2>/dev/null &
	else
		move_guest "$guest" "${domains[a % 5]}" 2>/dev/null &
	fi
	host_job=$!
}

# Not more of the only CPU than leaves enough of it for guests.
event_scan()
{
	what="run $((a % 4 != 0)) speed $((10 ** (3 + b % 4)))"
	knob share/run $((a % 4 != 0))
	knob share/pages_per_sec $((10 ** (3 + b % 4)))
	knob share/cpu_percent $((5 + c % 21))
	knob share/recheck_ms $((50 + d % 5000))
}

event_large()
{
	local break_pages=(1 16 128 512)

	what="enabled $((a % 3 != 0)) break_pages ${break_pages[b % 4]}"
	knob large/enabled $((a % 3 != 0))
	knob large/break_pages "${break_pages[b % 4]}"
	knob large/min_free_percent $((c % 30))
}

event_reclaim()
{
	what="cold_ms $((10 + a % 5000)) paging $((b % 8 != 0)) blocking $((c % 3 != 0)) sliding $((d % 2))"
	knob reclaim/cold_ms $((10 + a % 5000))
	knob reclaim/paging $((b % 8 != 0))
	knob reclaim/blocking $((c % 3 != 0))
	knob reclaim/sliding $((d % 2))
}

# They are in order at any time: raised from above, lowered from below.
event_levels()
{
	local high soft hard low

	what=${LEVELS[a % ${#LEVELS[@]}]}
	read -r high soft hard low <<<"$what"
	{
		echo 50 >"$SYSFS/reclaim/high_percent"
		echo "$high" >"$SYSFS/reclaim/high_percent"
		echo "$soft" >"$SYSFS/reclaim/soft_percent"
		echo "$hard" >"$SYSFS/reclaim/hard_percent"
		echo "$low" >"$SYSFS/reclaim/low_percent"
		echo "$hard" >"$SYSFS/reclaim/hard_percent"
		echo "$soft" >"$SYSFS/reclaim/soft_percent"
		echo "$high" >"$SYSFS/reclaim/high_percent"
	} 2>/dev/null
}

event_sample()
{
	what="period_ms $((2000 + a % 20000)) pages $((10 + b % 200))"
	knob sample/period_ms $((2000 + a % 20000))
	knob sample/pages $((10 + b % 200))
}

event_reboot()
{
	job "$guest" reboot_guest "$guest" && offer_a_bit_less
}

event_kill()
{
	[ -z "$busy" ] || return 1
	what+=" file kept: $((a % 2 == 0))"
	offer_a_bit_less
	kill -KILL "${pid_of[$guest]}"
	collect "$guest"
	job "$guest" replace_guest "$guest" $((a % 2))
}

event_stop()
{
	job "$guest" hold_guest "$guest" $((1 + a % 10)) $((b % (MEM_MB - HELD_MB)))
}

event_swap()
{
	[ -z "$host_job" ] || return 1
	what="${SWAPS[a % 2]} off for $((b % 20)) s"
	exchange_swap "${SWAPS[a % 2]}" $((b % 20)) &
	host_job=$!
}

event_write_errors()
{
	what="for $((3 + a % 10)) s"
	write_errors_end=$((SECONDS + 3 + a % 10))
	echo 4096 >"$ZRAM/mem_limit"
}

event_failing_allocations()
{
	can_fail_allocations || return 1
	what="$((1 + b % 50)) % for $((3 + a % 15)) s"
	fail_for $((3 + a % 15)) $((1 + b % 50))
}
