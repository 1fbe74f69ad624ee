#!/usr/bin/env bash
# Start to exit of the local commands, beside git's in the same run: startup.sh [ROUNDS]. Prints
# medians and how they compare with `git --version` and `git status`. The goal is 10 ms each; a
# median above STARTUP_LIMIT_MS, where that is set, is a failure.
set -euo pipefail

MLP=${MLP:?the binary}
TIMER=${TIMER:?process_timer}
rounds=${1:-100}

folder=$(mktemp -d "${TMPDIR:-/tmp}/mlp-startup.XXXXXX")
trap 'rm -rf "$folder"' EXIT
export HOME=$folder XDG_CONFIG_HOME=$folder/.config GIT_CONFIG_NOSYSTEM=1
unset MLP_JOBS MLP_COLOR MLP_PROGRESS

# A project as a user has it: a data set that is stored, in a git work tree with a commit.
git init -q "$folder/project"
cd "$folder/project"
"$MLP" init -q . --template image-classifier >/dev/null
"$MLP" data add -q >/dev/null
git add -A
git -c user.name=t -c user.email=t@localhost commit -q -m start
"$MLP" runs ls -q >/dev/null # makes the index

{
  echo "git --version"
  echo "git status"
  for words in --version status "data ls" "data status" "runs ls" "model ls" "remote ls" "config ls" \
    --help "train --help" "__complete runs show"; do
    # shellcheck disable=SC2086
    if "$MLP" __parse $words >/dev/null; then echo "$MLP $words"; fi
  done
} >"$folder/commands"
"$TIMER" "$rounds" "$folder/commands" >"$folder/times"

awk -F '\t' -v mlp="$MLP" -v limit="${STARTUP_LIMIT_MS:-0}" '
  { median[NR] = $1; low[NR] = $2; high[NR] = $3; cpu[NR] = $4; line[NR] = $5; sub(mlp, "mlp", line[NR]) }
  $5 == "git --version" { version = $1 }
  $5 == "git status" { status = $1 }
  END {
    printf "%-24s %9s %17s %7s %15s %12s\n", "command", "median ms", "10th-90th", "CPU ms", "/ git --version", "/ git status"
    for (i = 1; i <= NR; i++) {
      printf "%-24s %9.2f %8.2f-%8.2f %7.2f %15.2f %12.2f\n", line[i], median[i], low[i], high[i], cpu[i], median[i] / version, median[i] / status
      if (limit > 0 && line[i] ~ /^mlp/ && median[i] > limit) { slow = 1 }
    }
    exit slow
  }' "$folder/times"
