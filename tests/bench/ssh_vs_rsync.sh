#!/usr/bin/env bash
# One incompressible file over ssh to this machine and back: mlp beside rsync over the same sshd, taking
# turns. Both ends share the CPUs. MIB chooses the size.
set -euo pipefail
PATH=$PATH:/usr/sbin
for program in sshd ssh rsync; do
  command -v "$program" >/dev/null || {
    echo "SKIP: $program is not installed"
    exit 77
  }
done
mib=${MIB:-512} rounds=${ROUNDS:-3}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-ssh-bench.XXXXXX")
trap 'bash "$MLP_SOURCE/dev/services/sshd-down.sh" "$dir/sshd"; rm -rf "$dir"' EXIT
bash "$MLP_SOURCE/dev/services/sshd-up.sh" "$dir/sshd" >/dev/null
export HOME=$dir MLP_SSH_COMMAND="ssh -F $dir/sshd/config" MLP_SSH_REMOTE_PROGRAM=$MLP
copy() { rsync --whole-file --fsync -e "ssh -F $dir/sshd/config" "$@"; }
head -c $((mib << 20)) /dev/urandom >"$dir/file"

seconds() {
  local begin end
  begin=$(date +%s.%N)
  "$@"
  end=$(date +%s.%N)
  echo "$end - $begin" | bc
}
best() { sort -g | head -1; }

mkdir -p "$dir/project/data" "$dir/there"
cd "$dir/project"
printf 'name: t\n' >mlp.yaml
cp "$dir/file" data/file
"$MLP" data add set data >/dev/null
"$MLP" remote add origin "ssh://localhost$dir/there/store" >/dev/null
push() { "$MLP" data push >/dev/null; }
pull() { "$MLP" -C "$dir/clone" data pull >/dev/null; }
import() { "$MLP" -C "$dir/clone" data import one "ssh://localhost$dir/file" one >/dev/null; }
for _ in $(seq "$rounds"); do
  rm -rf .mlp/cache/remotes "$dir/there/store" "$dir/clone" "$dir/there/file" "$dir/back"
  sync
  seconds push >>"$dir/push"
  mkdir "$dir/clone"
  cp mlp.yaml mlp.lock "$dir/clone"
  sync
  seconds pull >>"$dir/pull"
  cmp "$dir/file" "$dir/clone/data/file"
  rm -rf "$dir/clone"
  mkdir "$dir/clone"
  printf 'name: t\n' >"$dir/clone/mlp.yaml"
  sync
  seconds import >>"$dir/import"
  sync
  seconds copy "$dir/file" "localhost:$dir/there/file" >>"$dir/to"
  sync
  seconds copy "localhost:$dir/file" "$dir/back" >>"$dir/from"
done
report() {
  local ours theirs
  ours=$(best <"$dir/$2") theirs=$(best <"$dir/$3")
  awk -v what="$1" -v n="$mib" -v a="$ours" -v b="$theirs" 'BEGIN {
    printf "%-6s %d MiB: mlp %.2f s (%.0f MiB/s), rsync %.2f s (%.0f MiB/s), ratio %.1f\n",
           what, n, a, n / a, b, n / b, b / a }'
}
report push push to
report pull pull from
report import import from
