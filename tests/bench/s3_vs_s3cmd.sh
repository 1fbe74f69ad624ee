#!/usr/bin/env bash
# One incompressible file to a real object gateway on this machine and back: mlp beside s3cmd, taking
# turns. Client, gateway and store share the CPUs. MIB chooses the size.
source "$(dirname "$0")/lib.sh"
needs ceph-mon ceph-osd radosgw s3cmd
[ "$(id -u)" = 0 ] || skip "an object store is started only by root"
mib=${MIB:-512} rounds=${ROUNDS:-3}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-s3-bench.XXXXXX")
trap 'bash "$MLP_SOURCE/dev/services/ceph-down.sh" "$dir/ceph"; rm -rf "$dir"' EXIT
read -r port _ < <(bash "$MLP_SOURCE/dev/services/ceph-up.sh" "$dir/ceph" team)
export HOME=$dir AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST
cat >"$dir/s3cfg" <<CFG
[default]
access_key = AKTEST
secret_key = SKTEST
host_base = 127.0.0.1:$port
host_bucket = 127.0.0.1:$port
use_https = False
CFG
s3() { s3cmd -c "$dir/s3cfg" --no-progress "$@" >/dev/null; }
head -c $((mib << 20)) /dev/urandom >"$dir/file"

empty_bucket() { s3 del --recursive --force s3://team; }

mkdir -p "$dir/project/data"
cd "$dir/project"
printf 'name: t\n' >mlp.yaml
cp "$dir/file" data/file
"$MLP" data add set data >/dev/null
"$MLP" remote add origin "s3://team/p?endpoint=http://127.0.0.1:$port" >/dev/null
push() { "$MLP" data push >/dev/null; }
pull() { "$MLP" -C "$dir/clone" data pull >/dev/null; }
for _ in $(seq "$rounds"); do
  seconds push >>"$dir/push"
  rm -rf "$dir/clone"
  mkdir "$dir/clone"
  cp mlp.yaml mlp.lock "$dir/clone"
  seconds pull >>"$dir/pull"
  cmp "$dir/file" "$dir/clone/data/file"
  rm -rf "$dir/clone"
  empty_bucket
  rm -rf .mlp/cache/remotes
  seconds s3 put "$dir/file" s3://team/file >>"$dir/put"
  rm -f "$dir/back"
  seconds s3 get s3://team/file "$dir/back" >>"$dir/get"
  empty_bucket
done
rates push "$mib" s3cmd "$dir/push" "$dir/put"
rates pull "$mib" s3cmd "$dir/pull" "$dir/get"
