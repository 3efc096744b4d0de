# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What tests of real guests with fisc's balloon device have in common: the guest dev1,
# what is in its balloon, and what cases.sh has.

. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/cases.sh"

MEM_MB=256
MNT=/dev/fisc
VM=$SYSFS/vms/dev1
BALLOON=$VM/balloon
OURS=fisc_balloon
MIB=$((1 << 20))

inside()
{
	guest exec --timeout "$PATIENCE" dev1 -- "$1"
}

actual_is()
{
	[ "$(<"$BALLOON/actual")" = "$1" ]
}

# reaches BYTES: the balloon becomes as large as that, to the page.
reaches()
{
	echo "$1" >"$BALLOON/target" || return 1
	wait_until "$PATIENCE" actual_is "$1" || {
		say "holds $(<"$BALLOON/actual"), should hold $1"
		return 1
	}
}

# set_up BUILD_DIR: the modules and the file system.
set_up()
{
	modprobe vhost_vdpa && insmod "$1/fisc.ko" && insmod "$1/fisc_vdpa.ko" &&
		mkdir -p "$MNT" && mount -t fisc none "$MNT"
}
