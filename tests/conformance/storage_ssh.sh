#!/usr/bin/env bash
# The storage suite in a folder that mlp serves at the other end of a real ssh connection.
set -euo pipefail
suite=$1 source=$2 mlp=$3
PATH=$PATH:/usr/sbin
for program in sshd ssh ssh-keygen; do
  command -v "$program" >/dev/null || {
    echo "SKIP: $program is not installed"
    exit 77
  }
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-ssh.XXXXXX")
trap 'bash "$source/dev/services/sshd-down.sh" "$dir/sshd"; rm -rf "$dir"' EXIT
bash "$source/dev/services/sshd-up.sh" "$dir/sshd" >/dev/null

mkdir "$dir/stores"
export MLP_SSH_COMMAND="ssh -F '$dir/sshd/config'" MLP_SSH_REMOTE_PROGRAM=$mlp
MLP_TEST_SSH="ssh://localhost$dir/stores" "$suite"
# Nothing of a writer is left, dead or alive.
left=$(find "$dir/stores" -path '*/.tmp/*')
[ -z "$left" ] || {
  echo "FAIL: left behind: $left"
  exit 1
}
