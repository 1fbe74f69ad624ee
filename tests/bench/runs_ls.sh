#!/usr/bin/env bash
# Listing runs where there are many: runs_ls.sh [RUNS] [ROUNDS]. Makes that many run folders, lists
# and filters them, beside `git log -20` over as many commits and the sqlite3 program on the index
# itself. Prints medians. The goal is 50 ms for the last 20 of 100,000.
set -euo pipefail

MLP=${MLP:?the binary}
TIMER=${TIMER:?process_timer}
runs=${1:-100000}
rounds=${2:-40}

folder=$(mktemp -d "${TMPDIR:-/tmp}/mlp-runs.XXXXXX")
trap 'rm -rf "$folder"' EXIT
export HOME=$folder XDG_CONFIG_HOME=$folder/.config GIT_CONFIG_NOSYSTEM=1 MLP_PROGRESS=never
mkdir "$folder/project"
cd "$folder/project"
echo 'name: p' >mlp.yaml

python3 - "$runs" <<'PYTHON'
import datetime, json, os, random, sys

random.seed(1)
start = datetime.datetime(2025, 1, 1)
alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
for i in range(int(sys.argv[1])):
    time = start + datetime.timedelta(seconds=120 * i)
    name = time.strftime("%Y%m%d-%H%M%S-") + "".join(random.choices(alphabet, k=6))
    run = f".mlp/runs/{name}"
    os.makedirs(run)
    at = lambda s: (time + datetime.timedelta(seconds=s)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    with open(run + "/spec.json", "w") as file:
        json.dump({"id": name, "task": "train", "created": at(0), "user": "u", "host": "h",
                   "params": {"lr": round(random.random(), 4), "optimizer": random.choice(["adam", "sgd"])}}, file)
    with open(run + "/events.jsonl", "w") as file:
        for k, state in enumerate(["pending", "queued", "starting", "running",
                                   "failed" if i % 10 == 0 else "succeeded"]):
            file.write(json.dumps({"event": "state", "state": state, "reason": "", "time": at(k)}) + "\n")
    with open(run + "/metrics.jsonl", "w") as file:
        for step in range(3):
            file.write(json.dumps({"step": step, "acc": random.random(), "loss": random.random()}) + "\n")
PYTHON

git init -q "$folder/commits"
python3 - "$runs" <<'PYTHON' | git -C "$folder/commits" fast-import --quiet
import sys

for i in range(int(sys.argv[1])):
    print(f"commit refs/heads/main\ncommitter t <t@localhost> {1700000000 + i} +0000\ndata 4\nrun\n")
PYTHON
git -C "$folder/commits" symbolic-ref HEAD refs/heads/main

sleep 3 # till the time of the folder of runs is old enough to be relied on
before=$(date +%s.%N)
"$MLP" runs ls >/dev/null
echo "first index of $runs runs: $(echo "$(date +%s.%N) $before" | awk '{ printf "%.1f", $1 - $2 }') s"
"$MLP" runs ls >/dev/null

query="SELECT id, task, state, created, metrics FROM runs ORDER BY id DESC LIMIT 20"
printf '#!/bin/sh\nexec sqlite3 %s "%s"\n' "$PWD/.mlp/index.db" "$query" >"$folder/sqlite"
printf '#!/bin/sh\nexec %s runs ls --where "params.lr<0.01 and metrics.acc>0.9" --sort -metrics.acc\n' "$MLP" >"$folder/where"
printf '#!/bin/sh\nexec %s runs ls --state failed\n' "$MLP" >"$folder/state"
chmod +x "$folder/sqlite" "$folder/where" "$folder/state"
{
  echo "git -C $folder/commits log -20"
  if command -v sqlite3 >/dev/null; then echo "$folder/sqlite"; fi
  echo "$MLP runs ls"
  echo "$folder/state"
  echo "$folder/where"
} >"$folder/commands"
"$TIMER" "$rounds" "$folder/commands" >"$folder/times"
awk -F '\t' -v folder="$folder/" -v mlp="$MLP" '
  BEGIN { printf "%-44s %9s %19s %8s\n", "command", "median ms", "10th-90th", "CPU ms" }
  { line = $5; gsub(folder, "", line); sub(mlp, "mlp", line)
    sub("^sqlite$", "sqlite3, newest 20 rows of the index", line)
    sub("^state$", "mlp runs ls --state failed", line)
    sub("^where$", "mlp runs ls --where ... --sort ...", line)
    printf "%-44s %9.2f %9.2f-%9.2f %8.2f\n", line, $1, $2, $3, $4 }' "$folder/times"
