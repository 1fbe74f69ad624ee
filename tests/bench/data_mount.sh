#!/usr/bin/env bash
# A dataset of random bytes at a remote, read through a mount and by `mlp data pull`, taking turns, on
# one machine: the time to the first byte of a file, the rate of reading all of it once, from a
# folder and, as root where Ceph is installed, from a real object gateway. MIB chooses the size (the
# gateway holds 3 GiB, or CEPH_BYTES), ROUNDS how often.
source "$(dirname "$0")/lib.sh"
[ -e /dev/fuse ] || skip "there is no /dev/fuse"
mib=${MIB:-1024} rounds=${ROUNDS:-3}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-mount-bench.XXXXXX")
finish() {
  umount -l "$dir/mnt" 2>/dev/null || fusermount3 -uz "$dir/mnt" 2>/dev/null || true
  [ ! -e "$dir/ceph" ] || bash "$MLP_SOURCE/dev/services/ceph-down.sh" "$dir/ceph"
  rm -rf "$dir"
}
trap finish EXIT
export HOME=$dir AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST
# Somewhere in the file, where nothing was read before.
read_a_byte() { dd if="$dir/mnt/part$1" of=/dev/null bs=1 count=1 skip=$(((mib << 17) + $1)) status=none; }
read_all() { cat "$dir/mnt"/part? >/dev/null; }
pull() { "$MLP" data pull --remote "$1" >/dev/null; }

mkdir -p "$dir/source/data"
cd "$dir/source"
printf 'name: t\n' >mlp.yaml
for i in 1 2 3 4; do head -c $((mib << 18)) /dev/urandom >"data/part$i"; done
"$MLP" data add set data >/dev/null

# measure NAME URL
measure() {
  local name=$1 pid i
  (cd "$dir/source" && "$MLP" remote add "$name" "$2" >/dev/null && "$MLP" data push --remote "$name" >/dev/null)
  rm -f "$dir"/{first,read,pull,peak}
  for _ in $(seq "$rounds"); do
    rm -rf "$dir/reader"
    mkdir "$dir/reader"
    cp "$dir/source/mlp.yaml" "$dir/source/mlp.lock" "$dir/reader"
    cd "$dir/reader"
    pid=$("$MLP" data mount -d set "$dir/mnt" --remote "$name" --json | sed 's/.*"pid":\([0-9]*\).*/\1/')
    for i in 1 2 3 4; do seconds read_a_byte "$i" >>"$dir/first"; done
    seconds read_all >>"$dir/read"
    awk '/VmHWM/ { print $2 / 1024 }' "/proc/$pid/status" >>"$dir/peak"
    "$MLP" data unmount "$dir/mnt" >/dev/null
    rm -rf .mlp
    seconds pull "$name" >>"$dir/pull"
  done
  awk -v what="$name" -v n="$mib" -v first="$(median <"$dir/first")" \
    -v worst="$(sort -g "$dir/first" | tail -1)" -v r="$(best <"$dir/read")" \
    -v p="$(best <"$dir/pull")" -v peak="$(sort -g "$dir/peak" | tail -1)" 'BEGIN {
    printf "%s %d MiB: first byte %.0f ms (median; worst %.0f), mount %.2f s (%.0f MiB/s), pull %.2f s (%.0f MiB/s), ratio of rates %.2f, %.0f MiB resident\n",
           what, n, first * 1000, worst * 1000, r, n / r, p, n / p, p / r, peak }'
}

measure folder "file:$dir/store"
rm -rf "$dir/store"
if [ "$(id -u)" = 0 ] && command -v ceph-mon ceph-osd radosgw >/dev/null; then
  read -r port _ < <(bash "$MLP_SOURCE/dev/services/ceph-up.sh" "$dir/ceph" team)
  measure radosgw "s3://team/p?endpoint=http://127.0.0.1:$port"
else
  echo "no Ceph here: the object gateway was left out"
fi
