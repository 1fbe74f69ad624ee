#!/usr/bin/env bash
# ceph-down.sh DIR: ends what ceph-up.sh DIR started.
set -u
for name in client.rgw osd.0 mon.a; do
  [ -s "$1/run/$name.pid" ] && kill -9 "$(cat "$1/run/$name.pid")" 2>/dev/null
done
exit 0
