# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What test scripts have in common: cases in KTAP, guests, waiting, and leaks. A
# script has a function show_state, for a case that fails.

LAB_GUEST=${LAB_GUEST:-$(dirname "$(realpath "${BASH_SOURCE[0]}")")/../lab/guest}
# Guests of a debug kernel, emulated, take their time.
PATIENCE=${PATIENCE:-300}

SYSFS=/sys/kernel/fisc
DEBUGFS=/sys/kernel/debug
KMEMLEAK=$DEBUGFS/kmemleak

passed=0 failed=0 skipped=0
# Exit status for lab/check, which tries once more, if emulation has ended a guest.
EMULATOR=123
emulator=

usage()
{
	sed -n '/^# selftests/,/^set/ { /^#/ s/^# \?//p }' "$0" >&2
	exit 2
}

say()
{
	echo "# $*"
}

# Talking to a guest whose QEMU is gone may block: nothing here may for ever.
guest()
{
	timeout -k 5 $((2 * PATIENCE)) "$LAB_GUEST" "$@"
}

# vm1 ... vm$GUESTS.
names()
{
	local i

	for ((i = 1; i <= GUESTS; i++)); do
		echo "vm$i"
	done
}

show_guests()
{
	local name pid state

	guest list | while read -r name pid state; do
		echo "# $name $pid $state"
		tail -n 20 "/run/fisc-guests/$name"/{qemu,console}.log | tr -d '\r' | sed 's/^/#   /'
	done
}

show_adoptions()
{
	sed 's/^/# core /' "$DEBUGFS/fisc/core"
	grep -Hs . "$SYSFS"/vms/*/adoption | sed 's/^/# /'
	dmesg | tail -n 20 | sed 's/^/# /'
}

# Has a guest died of an interrupt that was delivered once more while its handler still
# ran with the user's GS (Documentation/design/lab.rst)? Each exception in the entry code is
# followed by another, until its stack is full.
emulation_ended_one()
{
	local console

	for console in /run/fisc-guests/*/console.log; do
		tr -d '\r' 2>/dev/null <"$console" | tail -n 40 | awk '
			/<\/ENTRY_TRAMPOLINE>/ { entry = 1 }
			/RIP: 0010:(error_entry|asm_)/ { rip = 1 }
			/RSP: 0000:fffffe[0-9a-f]*000 / { full = 1 }
			/Kernel panic/ { panic = 1 }
			END { exit !(entry && rip && full && panic) }' && return
	done
	return 1
}

# What a guest finds in its memory.
declare -A memcheck_of
memchecks=0

is_running()
{
	guest list | grep -q "^$1 .* running"
}

# balloon GUEST MIB: leave it so much memory, by QEMU's own balloon.
balloon()
{
	guest qmp "$1" "{\"execute\": \"balloon\", \"arguments\": {\"value\": $(($2 << 20))}}" >/dev/null
}

# How far the adoption of a VM is, in the module's words; nothing if there is none.
adoption()
{
	cat "$SYSFS/vms/$1/adoption" 2>/dev/null
}

is_adopted()
{
	local now

	now=$(adoption "$1")
	[[ $now = adopted* && $now != *busy* ]]
}

is_released()
{
	[ ! -e "$SYSFS/vms/$1" ]
}

# start_memcheck GUEST OPTION...: in the background. On a slow host the answer
# may be late: whether it runs is seen at its end.
start_memcheck()
{
	local name=$1 files=/run/mc.$((++memchecks))
	shift

	memcheck_of[$name]=$files
	is_running "$name" || {
		say "$name is gone"
		return 1
	}
	guest bg "$name" -- "/fisc/memcheck $* >$files.log 2>&1; echo \$? >$files.end" ||
		say "$name is slow"
}

# Its last word; when it has ended, behind its exit status. The guest waits for that a
# while: a look from outside costs the host more than seconds of a guest that sleeps.
ask_memcheck()
{
	local files=${memcheck_of[$1]}

	guest exec --timeout 75 "$1" -- "for i in 1 2 3 4; do
			[ ! -s $files.end ] || break
			sleep 3
		done
		sed 's/^/status /' $files.end 2>/dev/null
		grep -a mismatch $files.log | tail -n 1"
}

# end_memcheck GUEST SECONDS: wait for its end; succeed if all was right.
end_memcheck()
{
	local end=$((SECONDS + $2 + PATIENCE)) answer=''

	while [ "$SECONDS" -lt "$end" ] && is_running "$1"; do
		answer=$(ask_memcheck "$1")
		case $answer in
		status*)
			say "$1: ${answer//$'\n'/, }"
			[[ $answer = "status 0"*"mismatches 0" ]] && return 0
			guest exec "$1" -- "tail -n 30 ${memcheck_of[$1]}.log" | sed 's/^/# /'
			return 1 ;;
		esac
		sleep 0.5
	done
	say "$1: memcheck did not end: $answer"
	return 1
}

# With the rule that tells the module of new VMs. udevd is one program, that goes by its
# name.
start_udevd()
{
	local rules=/run/udev/rules.d udevd=/run/systemd-udevd

	mkdir -p "$rules" && cp "$(dirname "$LAB_GUEST")/../host/60-fisc.rules" "$rules" &&
		ln -s "$(command -v udevadm)" "$udevd" && "$udevd" --daemon
}

# counter FILE NAME: one of the module's statistics.
counter()
{
	sed -n "s/^$2: //p" "$DEBUGFS/fisc/$1"
}

# Of all CPUs, since the boot.
idle_seconds()
{
	awk '/^cpu / { print int(($5 + $6) / 100) }' /proc/stat
}

# A case: a function named after the rule.
check()
{
	local start=$SECONDS idle result=ok

	idle=$(idle_seconds)
	"$@" || result="not ok"
	[ "$result" = ok ] && passed=$((passed + 1)) || failed=$((failed + 1))
	echo "$result $((passed + failed + skipped)) - $*" \
		"# $((SECONDS - start)) s, CPUs idle for $(($(idle_seconds) - idle)) s"
	[ "$result" = ok ] && return
	show_state
	! emulation_ended_one || emulator=yes
}

skip()
{
	skipped=$((skipped + 1))
	echo "ok $((passed + failed + skipped)) - $1 # SKIP $2"
}

# wait_until SECONDS COMMAND...: tried five times a second, or every POLL seconds.
wait_until()
{
	local end=$((SECONDS + $1))
	shift

	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep "${POLL:-0.2}"
	done
}

# settled COMMAND...: what it prints, once that is the same 5 seconds later.
settled()
{
	local before='' now end=$((SECONDS + PATIENCE))

	now=$("$@")
	while [ "$now" != "$before" ] && [ "$SECONDS" -lt "$end" ]; do
		sleep 5
		before=$now
		now=$("$@")
	done
	echo "$now"
}

# What kmemleak sees only counts once it is some seconds old. Scans take long: look
# after the unload, when the module's own data no longer refers to anything.
kmemleak_finds_nothing()
{
	local report

	echo scan >"$KMEMLEAK"
	sleep 6
	echo scan >"$KMEMLEAK"
	report=$(head -c 20000 "$KMEMLEAK")
	[ -z "$report" ] || {
		sed 's/^/# /' <<<"$report"
		return 1
	}
}

totals()
{
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -gt 0 ] || return 0
	[ -z "$emulator" ] || { say "a guest died of the emulation"; exit "$EMULATOR"; }
	return 1
}
