#!/usr/bin/env bash
# One incompressible file over ssh to this machine and back: mlp beside rsync over the same sshd, taking
# turns. Both ends share the CPUs. MIB chooses the size.
source "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin
needs sshd ssh rsync
mib=${MIB:-512} rounds=${ROUNDS:-3}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-ssh-bench.XXXXXX")
trap 'bash "$MLP_SOURCE/dev/services/sshd-down.sh" "$dir/sshd"; rm -rf "$dir"' EXIT
bash "$MLP_SOURCE/dev/services/sshd-up.sh" "$dir/sshd" >/dev/null
export HOME=$dir MLP_SSH_COMMAND="ssh -F $dir/sshd/config" MLP_SSH_REMOTE_PROGRAM=$MLP
copy() { rsync --whole-file --fsync -e "ssh -F $dir/sshd/config" "$@"; }
head -c $((mib << 20)) /dev/urandom >"$dir/file"

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
rates push "$mib" rsync "$dir/push" "$dir/to"
rates pull "$mib" rsync "$dir/pull" "$dir/from"
rates import "$mib" rsync "$dir/import" "$dir/from"
