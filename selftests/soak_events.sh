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

# Less than is in memory; or, as one that boots uses all that it has and would not come
# to an end, a bit less than what guests have.
offer_less()
{
	if [ -z "$busy" ]; then
		offer $(($(counter core frames) * 4096 / 100 * (60 + b % 36)))
	else
		offer $(($(wanted) / 100 * (85 + b % 11)))
	fi
}

# Between a half more and 2.5 times what there is is promised; or less is there than is
# in memory, again and again.
event_capacity()
{
	what=''
	if [ $((a % 3)) = 0 ]; then
		offer $((PROMISED * 100 / (150 + b % 101)))
	else
		offer_less
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

# Its balloon never does more than a page of what is wanted: while memory is short, which
# others must not have to wait for.
event_twitch()
{
	[[ $(kind "$guest") =~ ^(paired|kernel)$ ]] && is_free twitch || return 1
	what+=" for $((10 + a % 20)) s"
	offer_less
	beside twitch twitch_guest "$guest" $((10 + a % 20))
}

# Its shared pages are copied: that may fail for want of memory.
event_domain()
{
	local domains=('' '' '' alone others) failing=''

	is_free host || return 1
	what+=" domain ${domains[a % 5]:-guests}"
	if can_fail_allocations && [ $((b % 2)) = 0 ]; then
		what+=", $((c % 30)) % of allocations fail"
		fail_for 10 $((c % 30))
		failing=1
	fi
	beside host move_guest "$guest" "${domains[a % 5]}" $failing
}

# To and fro, while pages are written and read; what its VMM needs is charged elsewhere then.
event_cgroup()
{
	local to=() i

	is_free cgroup || return 1
	for ((i = 0; i <= a % 6; i++)); do
		to+=("${VMM_GROUPS[(b + i) % ${#VMM_GROUPS[@]}]}")
	done
	what+=" to ${to[*]}"
	beside cgroup move_vmm "${pid_of[$guest]}" "${to[@]}"
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

# set_levels "HIGH SOFT HARD LOW": they are in order at any time: raised from above,
# lowered from below.
set_levels()
{
	local high soft hard low

	read -r high soft hard low <<<"$1"
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

event_levels()
{
	what=${LEVELS[a % ${#LEVELS[@]}]}
	set_levels "$what"
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

# Another VMM for one that has been killed.
replace()
{
	collect "$guest"
	job "$guest" replace_guest "$guest" $((a % 2))
}

event_kill()
{
	[ -z "$busy" ] || return 1
	offer_a_bit_less
	kill_vmm "${pid_of[$guest]}" kill
	what+=" file kept: $((a % 2 == 0)), gone after $took_ms ms"
	replace
}

memory_is_high()
{
	[ "$(<"$SYSFS/reclaim/state")" = high ]
}

# Who is above its target has to wait, and longer than anything here takes: what is in
# use goes out late. What failed to help before is forgotten first.
make_low()
{
	knob tax/capacity 0
	POLL=0.2 wait_until 10 memory_is_high
	knob reclaim/paging 1
	knob reclaim/blocking 1
	knob reclaim/cold_ms 60000
	set_levels "20 15 10 8"
	knob tax/capacity $(($(counter core frames) * 4096))
}

end_low()
{
	offer_a_bit_less
	set_levels "${LEVELS[c % ${#LEVELS[@]}]}"
	knob reclaim/cold_ms $((10 + d % 5000))
}

# find_guest TEST: set $guest to the next one, from $guest on, for which TEST is true.
find_guest()
{
	local i name

	for ((i = 0; i < GUESTS; i++)); do
		name=vm$(((${guest#vm} - 1 + i) % GUESTS + 1))
		[ -n "${pid_of[$name]}" ] && "$1" "$name" || continue
		guest=$name
		return
	done
	return 1
}

has_to_wait()
{
	local reason

	{ read -r reason <"$SYSFS/vms/$1/reclaim"; } 2>/dev/null && [ "$reason" = blocked ]
}

is_in_swap()
{
	local bytes

	{ read -r bytes <"$SYSFS/vms/$1/swapped"; } 2>/dev/null && [ "$bytes" -gt $((2 * MIB)) ]
}

# The kernel keeps what it has written, as long as there is memory. It may drop less than
# it is told to, and says so.
forget_swap_cache()
{
	local kb

	kb=$(sed -n 's/^SwapCached: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
	{ echo "${kb}K swappiness=200" >"$CGROUPS/memory.reclaim"; } 2>/dev/null || true
}

# A VM whose threads will wait: for more memory, or, when there is enough, for swap.
find_one_that_waits()
{
	if [ $((d % 3)) = 0 ]; then
		knob tax/capacity 0
		forget_swap_cache
		find_guest is_in_swap
	else
		make_low
		POLL=0.2 wait_until 10 find_guest has_to_wait
	fi
}

# Exactly when one of its threads waits in the module: because the guest wants a page,
# or because the VMM does, which reads all of the guest's memory. It goes before others,
# so that these are not why it takes its time.
event_kill_waiting()
{
	[ -z "$busy" ] || return 1
	waited_in=''
	if find_one_that_waits; then
		guest hurry "$guest"
		[ $((b % 2)) = 0 ] || kill_when_it_waits "$guest" 5
		[ -n "$waited_in" ] || {
			read_guest "$guest" &
			kill_when_it_waits "$guest" 30
		}
		[ -n "$waited_in" ] || job "$guest" unhurry_guest "$guest"
	fi
	end_low
	[ -n "$waited_in" ] || {
		say "$SECONDS s: $guest was to be killed in a wait, but there was none"
		return 1
	}
	what="$guest in $waited_in, file kept: $((a % 2 == 0)), gone after $took_ms ms"
	killed_in[$waited_in]=$((${killed_in[$waited_in]-0} + 1))
	replace
}

event_stop()
{
	job "$guest" hold_guest "$guest" $((1 + a % 10)) $((b % (MEM_MB - HELD_MB)))
}

event_swap()
{
	what="${SWAPS[a % 2]} off for $((b % 20)) s"
	beside host exchange_swap "${SWAPS[a % 2]}" $((b % 20))
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
