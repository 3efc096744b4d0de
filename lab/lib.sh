# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What the lab's commands share: where things are, messages, the cache of
# artefacts and entering the tree.  Source it; it has no effects of its own.

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(dirname "$LAB")
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/fisc
SUITE=trixie
LINUX=6.12

# A line of any of these in a kernel's log is a defect. Allocation failures and the
# dumps of fault injection are not: tests cause them.
SPLATS='(\] |^)((watchdog|rcu): )?(BUG[: ]|INFO: |WARNING: |UBSAN: |Oops: |Kernel panic|kernel BUG at)'
SPLATS+='|cut here \]|general protection fault, (maybe|probably)|\] kmemleak: [0-9]+ new suspected'
SPLATS+='|VFS: Busy inodes|sysfs: cannot create duplicate|unable to handle (page fault|kernel)'

say()
{
	printf 'lab: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit 1
}

# Chroots, mounts and KVM need root: run the script again as root if we are not.
as_root()
{
	[ "$EUID" -eq 0 ] && return
	command -v sudo >/dev/null || die "needs root, and there is no sudo"
	exec sudo XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" \
		FISC_MIRROR="${FISC_MIRROR-}" "$@"
}

# --- steps: one line each, with a running time -------------------------------

# step WHAT LOG CMD...: run CMD with its output in LOG, say how long it takes.
step()
{
	local what=$1 log=$2 start=$SECONDS rc=0
	shift 2

	mkdir -p "$(dirname "$log")"
	[ -t 2 ] || say "$what ..."
	set -m
	(set -e; trap - EXIT INT TERM; "$@") >"$log" 2>&1 </dev/null &
	STEP=$!
	set +m
	# An interrupt must reach the whole job: it has a process group of its own.
	trap 'kill -TERM -- "-$STEP" 2>/dev/null; wait; exit 130' INT TERM
	step_watch "$what" "$log" "$start"
	wait "$STEP" || rc=$?
	trap - INT TERM
	[ -t 2 ] && printf '\r\033[K' >&2
	if [ "$rc" -ne 0 ]; then
		tail -n 15 "$log" | sed 's/^/  | /' >&2
		say "$what: failed after $((SECONDS - start)) s, log: $log"
		return "$rc"
	fi
	say "$what: $((SECONDS - start)) s"
}

step_watch()
{
	local what=$1 log=$2 start=$3 t last said=0

	while kill -0 "$STEP" 2>/dev/null; do
		sleep 0.2
		t=$((SECONDS - start))
		[ "$t" -eq "$said" ] && continue
		last=$(tail -c 300 "$log" | tr '\r' '\n' | grep -a . | tail -n 1 | tr -cd "[:print:]" || true)
		if [ -t 2 ]; then
			said=$t
			printf '\r\033[Klab: %s: %d s  %.50s' "$what" "$t" "$last" >&2
		elif [ $((t - said)) -ge 30 ]; then
			said=$t
			say "$what: at $t s: ${last:0:60}"
		fi
	done
}

# --- artefacts: directories in the cache, named NAME-KEY ---------------------

# Those of the tree; see FISC_TREE below.
packages()
{
	cat "$LAB/packages"
	[ "${FISC_TREE-}" = demo ] || cat "$LAB/packages-check"
}

# What each artefact is made from.  A change to any of it makes a new key.
key_inputs()
{
	case $1 in
	tree)	echo "$SUITE"; packages; cat "$LAB/make-tree" ;;
	source)	key tree; cat "$LAB/make-source" ;;
	image)	key tree; cat "$LAB/make-image" "$LAB/make-guest" "$LAB/guest-init" ;;
	boot-stock) key tree; cat "$LAB/make-boot" "$LAB/boot-init" "$LAB/tsc-khz.c" ;;
	linux)	key source; cat "$LAB/debug.config" "$LAB/make-linux" ;;
	kcsan)	key source; cat "$LAB/debug.config" "$LAB/kcsan.config" "$LAB/make-kcsan" ;;
	boot-debug) key linux; cat "$LAB/make-boot" "$LAB/boot-init" "$LAB/tsc-khz.c" ;;
	boot-kcsan) key kcsan; cat "$LAB/make-boot" "$LAB/boot-init" "$LAB/tsc-khz.c" ;;
	clang)	key linux; cat "$LAB/make-clang" ;;
	*)	die "no such artefact: $1" ;;
	esac
}

key()
{
	key_inputs "$1" | sha256sum | cut -c 1-12
}

# Path of an artefact and of its lock, but for the key and the suffix. FISC_TREE=demo
# means a tree without what only tests need, and what is made from it.
stem()
{
	echo "$CACHE/${FISC_TREE:+$FISC_TREE-}$1"
}

# Where an artefact is, or would be. FISC_LINUX names the one that stands in for the
# debug kernel where make-boot packs another kernel of the lab's own.
artefact()
{
	[ "$1" != linux ] || set -- "${FISC_LINUX:-linux}"
	echo "$(stem "$1")-$(key "$1")"
}

# in_use DIR: hold DIR against removal for as long as this process (and what
# it starts) lives.
in_use()
{
	local fd

	exec {fd}<"$1"
	flock -s "$fd"
}

# --- the tree ----------------------------------------------------------------

# Kernel release of the stock kernel in tree $1.
stock_release()
{
	local dir

	for dir in "$1"/usr/lib/modules/*/build; do
		basename "$(dirname "$dir")"
	done | tail -n 1
}

# in_tree TREE [OUTSIDE:INSIDE]... -- CMD...: replace this process by CMD,
# chrooted to TREE with OUTSIDE directories bound to INSIDE.  All mounts are
# in a mount name space of their own, gone with CMD.
in_tree()
{
	local tree=$1 binds=()
	shift

	while [ "$1" != -- ]; do
		binds+=("$1")
		shift
	done
	shift
	# shellcheck disable=SC2016
	exec unshare --mount --propagation private bash -c '
		set -e
		tree=$1; n=$2
		shift 2
		mount -t proc proc "$tree/proc"
		mount --rbind /sys "$tree/sys"
		mount --rbind /dev "$tree/dev"
		mount -t tmpfs tmpfs "$tree/tmp"
		for ((; n; n--)); do
			mkdir -p "$tree/${1##*:}"
			mount --bind "${1%:*}" "$tree/${1##*:}"
			shift
		done
		exec chroot "$tree" "$@"' \
		in_tree "$tree" "${#binds[@]}" "${binds[@]}" \
		env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
		LANG=C.UTF-8 TERM="${TERM-dumb}" "$@"
}
