#!/usr/bin/env bash
# sshd-up.sh DIR: a real sshd on loopback, for the user who starts it, with keys of its own. Prints
# its port. DIR/config makes `ssh -F DIR/config localhost` reach it; sshd-down.sh DIR ends it.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
for key in host user; do
  [ -e "$dir/${key}_key" ] || ssh-keygen -q -t ed25519 -N '' -C test -f "$dir/${key}_key"
done
cp "$dir/user_key.pub" "$dir/authorized_keys"
cat >"$dir/sshd_config" <<CONF
Port $port
ListenAddress 127.0.0.1
HostKey $dir/host_key
PidFile $dir/pid
AuthorizedKeysFile $dir/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
AcceptEnv MLP_*
CONF
printf '[localhost]:%s %s\n' "$port" "$(cut -d' ' -f1,2 "$dir/host_key.pub")" >"$dir/known_hosts"
cat >"$dir/config" <<CONF
Host localhost
  HostName 127.0.0.1
  HostKeyAlias [localhost]:$port
  Port $port
  IdentityFile $dir/user_key
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile $dir/known_hosts
  GlobalKnownHostsFile /dev/null
CONF
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
"$(PATH=$PATH:/usr/sbin command -v sshd)" -f "$dir/sshd_config" -E "$dir/log" </dev/null >/dev/null 2>&1
for _ in $(seq 100); do
  [ -s "$dir/pid" ] && ssh -F "$dir/config" -oBatchMode=yes localhost true 2>"$dir/said" && {
    echo "$port"
    exit 0
  }
  sleep 0.05
done
echo "sshd does not answer: $(tail -5 "$dir/log" "$dir/said" 2>/dev/null)" >&2
exit 1
