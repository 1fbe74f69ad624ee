# Sourced by the tests with a real sshd: starts one in $SSHD, or skips. ssh: URLs with the host
# "localhost" reach it, with the mlp under test at the other end. ssh_end ends it.
# shellcheck shell=bash
PATH=$PATH:/usr/sbin
for program in sshd ssh ssh-keygen; do
  command -v "$program" >/dev/null || skip "$program is not installed"
done
SSHD=$TEST_DIR/sshd
ssh_start() { bash "$MLP_SOURCE/dev/services/sshd-up.sh" "$SSHD" >/dev/null; }
ssh_end() { bash "$MLP_SOURCE/dev/services/sshd-down.sh" "$SSHD"; }
ssh_start
export MLP_SSH_COMMAND="ssh -F '$SSHD/config'" MLP_SSH_REMOTE_PROGRAM=$MLP
unset MLP_NET_TIMEOUT MLP_NET_ATTEMPTS SSH_AUTH_SOCK SSH_ASKPASS

# The processes that serve connections of ours at the other end, and ours that make them.
serving() { pgrep -P "$(cat "$SSHD/pid")"; }
connecting() { pgrep -f "ssh -F $SSHD/config .*storage-serve"; }
