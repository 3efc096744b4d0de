# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Guests of the soak (soak.sh): what they are, what they do, what is done to one of
# them, or to the host, in the background.

# --- guests -----------------------------------------------------------------------

# Balloon and driver: fisc's with the paired one or the kernel's, none, or QEMU's.
kind()
{
	local kinds=(qemu paired kernel none)

	echo "${kinds[${1#vm} % 4]}"
}

# In the guest, for as long as it lives: memory that is used, idle, and checked in full.
# What comes of it is said on the console, which is there when the guest is no more.
rounds_in_guest()
{
	cat <<-END
		while :; do
			/fisc/memcheck --mb $CHECK_MB --seconds $SECONDS_ROUND --dup 20 --zero 10 \\
				--write-rate 200 >/run/check.log 2>&1 &
			sleep $((SECONDS_ROUND / 4))
			kill -STOP \$!
			sleep $((SECONDS_ROUND / 2))
			kill -CONT \$!
			wait \$!
			echo "soak: status \$? \$(tail -n 1 /run/check.log)" >/dev/ttyS0
			grep -A 1 'mismatch [pi]' /run/check.log | head -n 40 >/dev/ttyS0
		done
	END
}

begin_rounds()
{
	[ "$(kind "$1")" != paired ] ||
		guest exec --timeout "$PATIENCE" "$1" -- \
			"insmod /fisc/fisc_balloon.ko floor_mb=$FLOOR_MB" || return 1
	# A late answer is none: what counts is that it has done rounds in the end.
	guest bg "$1" -- "$(rounds_in_guest)" || is_running "$1"
}

# Guests that the emulation of SVM reset while they booted: see lab.rst.
note_resets()
{
	sed 's/^/# /' "$1"
	grep -h 'reset while booting' "$1" >>"$RUN/resets"
}

start_guest()
{
	local name=$1 options=() status node

	case $(kind "$name") in
	paired|kernel)
		node=$(basename "/sys/bus/vdpa/devices/$name"/vhost-vdpa-*)
		options=(--qemu-extra "-device vhost-vdpa-device-pci,vhostdev=/dev/$node") ;;
	qemu)
		options=(--balloon) ;;
	esac
	guest start 1 --first "${name#vm}" --backend "$MNT" --mem "${MEM_MB}M" --append "$QUIET" \
		--timeout "$PATIENCE" "${options[@]}" >"$RUN/$name.start" 2>&1
	status=$?
	note_resets "$RUN/$name.start"
	return "$status"
}

# Note which process it is now.
know()
{
	pid_of[$1]=$(<"$CONSOLES/$1/pid")
	lines_of[$1]=0
}

# What a guest's console has said since: rounds that ended, and complaints.
collect()
{
	local file=$CONSOLES/$1/console.log new r p w b short bad

	[ -e "$file" ] || return
	mapfile -s "${lines_of[$1]}" new <"$file"
	# The last line may not be complete.
	[ "${#new[@]}" -gt 0 ] && [[ ${new[-1]} != *$'\n' ]] && unset "new[-1]"
	[ "${#new[@]}" -gt 0 ] || return
	lines_of[$1]=$((lines_of[$1] + ${#new[@]}))
	read -r r p w b short bad <<<"$(printf '%s' "${new[@]}" | tr -d '\r' | awk '
		/^soak: status [01] / { r++; p += $10; w += $12; b += $14; next }
		/^soak: status/ { short++ }
		/Kernel panic|BUG:|Oops|general protection|mismatch [pi]/ { bad++ }
		/^soak|Out of memory/ || bad > said {
			said = bad; print "# '"$1"' said: " $0 >"/dev/stderr" }
		END { print r + 0, p + 0, w + 0, b + 0, short + 0, bad + 0 }')"
	rounds=$((rounds + r)) checked=$((checked + p)) written=$((written + w))
	mismatched_bytes=$((mismatched_bytes + b)) cut_short=$((cut_short + short))
	guest_complaints=$((guest_complaints + bad))
	rounds_of[$1]=$((rounds_of[$1] + r))
}

# ask NAME COMMAND [ARGUMENTS]: a QMP command. A VMM that waits for memory answers late.
ask()
{
	wait_until "$PATIENCE" guest qmp "$1" \
		"{\"execute\": \"$2\"${3+, \"arguments\": $3}}" >/dev/null 2>&1
}

lost()
{
	guests_lost=$((guests_lost + 1))
	say "$1 is lost: $2"
	show_state
	dmesg | tail -n 20 | sed 's/^/# /'
}

# --- what takes its time -------------------------------------------------------------

# One thing at a time is done to a guest in the background, and one of each other kind.
guest_job='' busy='' begun=0
declare -A job_of=()

# job GUEST COMMAND...: fails if there is one.
job()
{
	[ -z "$busy" ] || return 1
	busy=$1
	begun=$SECONDS
	shift
	"$@" &
	guest_job=$!
}

answers_or_is_gone()
{
	guest wait-ready --timeout 30 "$1" >"$RUN/$1.start" 2>&1 ||
		! kill -0 "$(<"$CONSOLES/$1/pid")" 2>/dev/null
}

reboot_guest()
{
	guest hurry "$1" && ask "$1" set-action '{"reboot": "reset"}' && ask "$1" system_reset &&
		ask "$1" set-action '{"reboot": "shutdown"}' || return 1
	# Asked more than once: a guest that has not been reset yet takes a question along.
	wait_until "$PATIENCE" answers_or_is_gone "$1" && begin_rounds "$1" && return
	# As lab/guest start does with one that is reset without a word.
	! kill -0 "$(<"$CONSOLES/$1/pid")" 2>/dev/null || return 1
	echo "$1 was reset while booting, after a reboot" >>"$RUN/$1.start"
	note_resets "$RUN/$1.start"
	replace_guest "$1" 0
}

# Another VMM for a guest, with its file as it was or with a new one.
replace_guest()
{
	guest kill -9 "$1" || return 1
	[ "$2" = 0 ] || rm "$MNT/$1"
	start_guest "$1" && begin_rounds "$1"
}

# hold_guest NAME SECONDS MIB: a part of its memory, beginning there, as seen from
# outside, while it stands still and the host does not.
hold_guest()
{
	ask "$1" stop &&
		dd if="$MNT/$1" bs=1M skip="$3" count="$HELD_MB" of="$RUN/$1.copy" status=none ||
		return 1
	sleep "$2"
	cmp -l -i "$(($3 * MIB)):0" -n "$(stat -c %s "$RUN/$1.copy")" "$MNT/$1" "$RUN/$1.copy" |
		wc -l >>"$RUN/wrong"
	rm "$RUN/$1.copy"
	ask "$1" cont
}

end_guest_job()
{
	local name=$busy

	[ -n "$busy" ] && ! kill -0 "$guest_job" 2>/dev/null || return
	busy=''
	if ! wait "$guest_job"; then
		lost "$name" "it did not come back"
		pid_of[$name]=''
		return
	fi
	say "$name is back after $((SECONDS - begun)) s"
	[ "$(<"$CONSOLES/$name/pid")" = "${pid_of[$name]}" ] || know "$name"
}

exchange_swap()
{
	local start=$SECONDS

	swapoff "$1" || {
		say "swapoff $1 failed"
		return 1
	}
	sleep "$2"
	swapon -p 5 "$1" && say "$1 was off after $((SECONDS - start - $2)) s, for $2 s"
}

# Into another share domain; one in which allocations fail, or not.
move_guest()
{
	[ -z "${3-}" ] || echo 1 >"/proc/$BASHPID/make-it-fail"
	{ echo "$2" >"$SYSFS/vms/$1/domain"; } 2>/dev/null
}

paged()
{
	echo $(($(counter reclaim swap_out) + $(counter reclaim swap_in)))
}

# move_vmm PID GROUP...: into each of these in turn. Note how many pages were moved to and
# from swap meanwhile.
move_vmm()
{
	local pid=$1 group before
	shift

	before=$(paged)
	for group; do
		{ echo "$pid" >"$CGROUPS/$group/cgroup.procs"; } 2>/dev/null || return 1
		sleep 0.3
	done
	echo "$# $(($(paged) - before))" >>"$RUN/moves"
}

# twitch_guest NAME SECONDS: let its balloon have a page more and a page less than it has.
twitch_guest()
{
	local end=$((SECONDS + $2)) files=$SYSFS/vms/$1/balloon actual base more=0 nr=0

	while [ "$SECONDS" -lt "$end" ] && read -r actual <"$files/actual"; do
		[ "$nr" -gt 0 ] || base=$actual
		more=$((4096 - more))
		echo $((base + more)) >"$files/target" || break
		nr=$((nr + 1))
		sleep 0.2
	done 2>/dev/null
	echo "$nr" >>"$RUN/twitches"
	{ echo '' >"$files/target"; } 2>/dev/null
}

is_free()
{
	[ -z "${job_of[$1]-}" ]
}

# beside KIND COMMAND...: fails if there is one of this kind.
beside()
{
	local kind=$1
	shift

	is_free "$kind" || return 1
	"$@" &
	job_of[$kind]=$!
}

end_other_jobs()
{
	local kind

	for kind in "${!job_of[@]}"; do
		kill -0 "${job_of[$kind]}" 2>/dev/null && continue
		wait "${job_of[$kind]}" || refused=$((refused + 1))
		unset "job_of[$kind]"
	done
}

# --- killing ---------------------------------------------------------------------------

# Milliseconds that the last one that was killed took to go; and the longest, by event.
took_ms=0 late_exits=0
declare -A slowest_ms=([kill]=0 [kill_waiting]=0)
# By function, those that were killed while they waited there.
declare -A killed_in=()
waited_in=''

# The process PID with all of its threads. Nobody may have asked for its status yet.
is_gone()
{
	local threads=(/proc/"$1"/task/*) stat

	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	stat=${stat##*) }
	[ "${#threads[@]}" = 1 ] && [[ $stat = [ZX]* ]]
}

# kill_vmm PID EVENT
kill_vmm()
{
	local end=$((SECONDS + GONE_S)) start=${EPOCHREALTIME/[.,]/}

	kill -KILL "$1"
	until is_gone "$1" || [ "$SECONDS" -gt "$end" ]; do
		# A process for each look would be in the way.
		read -r -t 0.02 -u "$never"
	done
	took_ms=$(((${EPOCHREALTIME/[.,]/} - start) / 1000))
	[ "$took_ms" -le "${slowest_ms[$2]}" ] || slowest_ms[$2]=$took_ms
	is_gone "$1" || late_exits=$((late_exits + 1))
}

# Set $waited_in to the function of the module in which a thread of PID waits.
find_wait()
{
	local task stat stack

	for task in /proc/"$1"/task/*; do
		read -r stat <"$task/stat" || continue
		[[ ${stat##*) } = D* ]] && mapfile stack <"$task/stack" || continue
		[[ ${stack[*]} =~ (fisc_[a-z_]+) ]] || continue
		waited_in=${BASH_REMATCH[1]}
		return
	done 2>/dev/null
	return 1
}

# kill_when_it_waits GUEST SECONDS: or not, if it does not wait by then.
kill_when_it_waits()
{
	local pid=${pid_of[$1]} end=$((SECONDS + $2))

	until find_wait "$pid"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		read -r -t 0.05 -u "$never"
	done
	kill_vmm "$pid" kill_waiting
}

# As its VMM sees it.
read_guest()
{
	guest qmp "$1" "{\"execute\": \"pmemsave\", \"arguments\":
		{\"val\": 0, \"size\": $((MEM_MB * MIB)), \"filename\": \"/dev/null\"}}" \
		>/dev/null 2>&1
}

unhurry_guest()
{
	guest wait-ready --timeout "$PATIENCE" "$1"
}
