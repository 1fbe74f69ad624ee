#!/usr/bin/env bash
# `mlp doctor`: what it says of ssh and of the project's remotes.
source "$(dirname "$0")/lib.sh"

verdict() { jq -r --arg name "$1" '.checks[] | select(.name == $name) | .verdict' <<<"$out"; }

expect_exit 0 env MLP_SSH_COMMAND=/bin/true "$MLP" doctor --json
equals "$(verdict ssh)" ok
expect_exit 0 env MLP_SSH_COMMAND="none-such -x" "$MLP" doctor --json
equals "$(verdict ssh)" warning
contains "$out" "there is no program 'none-such'"
contains "$out" "ssh.command"

# What a project needs and does not find is a failure.
printf 'name: t\nremotes:\n  origin: file:store\n  lab: ssh://ada@gpu1/srv/team\n' >mlp.yaml
expect_exit 0 env MLP_SSH_COMMAND="sh -x" "$MLP" doctor
contains "$out" "ok       remote lab: ssh://ada@gpu1/srv/team"
expect_exit 1 env MLP_SSH_COMMAND=/none/ssh "$MLP" doctor --json
equals "$(verdict "remote origin")" ok
equals "$(verdict "remote lab")" failed
expect_exit 1 env MLP_SSH_COMMAND="ssh 'x" "$MLP" doctor --json
contains "$out" "a quote is not closed"
printf 'name: t\nremotes:\n  lab: ssh://gpu1\n' >mlp.yaml
expect_exit 1 env MLP_SSH_COMMAND=/bin/true "$MLP" doctor --json
equals "$(verdict "remote lab")" failed
contains "$out" "it names no folder"
