#!/usr/bin/env bash
# sshd-down.sh DIR: ends what sshd-up.sh DIR started, and the connections that it serves.
set -u
[ -s "$1/pid" ] || exit 0
daemon=$(cat "$1/pid")
children=$(pgrep -P "$daemon")
# shellcheck disable=SC2086
kill "$daemon" $children 2>/dev/null
exit 0
