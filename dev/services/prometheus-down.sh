#!/usr/bin/env bash
# prometheus-down.sh DIR: ends what prometheus-up.sh DIR started.
set -u
[ -s "$1/pid" ] && kill "$(cat "$1/pid")" 2>/dev/null
exit 0
