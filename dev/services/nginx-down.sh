#!/usr/bin/env bash
# nginx-down.sh DIR: ends what nginx-up.sh DIR started.
set -u
[ -s "$1/pid" ] && kill "$(cat "$1/pid")" 2>/dev/null
exit 0
