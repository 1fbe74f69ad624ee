#!/usr/bin/env bash
# Stopping, losing, resuming and removing runs; nothing acknowledged is lost.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  train:
    params: {steps: 100000}
    run: |
      trap 'echo stopped; exit 0' TERM
      i=$(cat "$MLP_CHECKPOINT_DIR/i" 2>/dev/null || echo 0)
      echo "from $i"
      while [ "$i" -lt ${params.steps} ]; do
        i=$((i + 1)); echo "{\"step\": $i, \"n\": $i}" >> "$MLP_METRICS"
        echo "$i" > "$MLP_CHECKPOINT_DIR/new"; mv "$MLP_CHECKPOINT_DIR/new" "$MLP_CHECKPOINT_DIR/i"
        sleep 0.02
      done
YAML
state() { mlp runs show "$1" --json | sed -n 's/^  "state": "\(.*\)",*$/\1/p'; }
is() { [ "$(state "$1")" = "$2" ]; }
supervisor_of() { sed -n 's/.*"supervisor":{.*"pid":\([0-9]*\).*/\1/p' ".mlp/runs/$1/events.jsonl" | tail -1; }
stepped() { [ -s ".mlp/runs/$1/checkpoints/i" ]; }

# Cancelled from another shell, then resumed from its checkpoint to the end.
run=$(mlp train -d)
wait_until 10 stepped "$run"
expect_exit 5 mlp runs rm "$run"
expect_exit 5 mlp train --resume "$run"
expect_exit 0 mlp runs cancel "${run: -6}"
contains "$out" "cancelled"
is "$run" cancelled || fail "not cancelled"
contains "$(mlp runs logs "$run")" "stopped"
expect_exit 0 mlp runs cancel "$run"
contains "$err" "has ended"
at=$(cat ".mlp/runs/$run/checkpoints/i")
sed -i 's/steps: 100000/steps: 1/' mlp.yaml # the run keeps the mlp.yaml that it was made with
(expect_exit 0 mlp train -d --resume "$run")
wait_until 10 sh -c "'$MLP' runs logs '$run' | grep -q 'from $at'"
mlp runs cancel "$run" >/dev/null
sed -i 's/steps: 1}/steps: 100000}/' mlp.yaml

# A killed supervisor: lost, the program is gone with it, and it can be resumed.
run=$(mlp train -d)
wait_until 10 stepped "$run"
kill -9 "$(supervisor_of "$run")"
wait_until 5 is "$run" lost
sleep 0.2
at=$(cat ".mlp/runs/$run/checkpoints/i")
sleep 0.3
equals "$(cat ".mlp/runs/$run/checkpoints/i")" "$at"
contains "$(mlp runs show "$run")" "is gone"
expect_exit 0 mlp train -d --resume "$run"
wait_until 10 is "$run" running
expect_exit 0 mlp runs cancel --now "$run"

# A killed `mlp train` leaves its run alive.
mlp train >/dev/null 2>&1 &
front=$!
wait_until 10 sh -c "'$MLP' runs ls --state running | grep -q running"
run=$(mlp runs ls --state running --json | sed -n 's/.*"run": "\(.*\)",*$/\1/p')
wait_until 10 stepped "$run"
kill -9 $front
wait $front 2>/dev/null || true
sleep 0.2
is "$run" running || fail "the run ended with its terminal"
expect_exit 0 mlp runs cancel "$run"

# Ctrl-C cancels, says how to go on, and exits with 130.
(trap - INT; exec "$MLP" train) >"$TEST_DIR/o" 2>"$TEST_DIR/e" &
front=$!
wait_until 10 sh -c "'$MLP' runs ls --state running | grep -q running"
run=$(mlp runs ls --state running --json | sed -n 's/.*"run": "\(.*\)",*$/\1/p')
wait_until 10 stepped "$run"
kill -TERM $front
code=0
wait $front || code=$?
equals "$code" 130
contains "$(cat "$TEST_DIR/e")" "mlp train --resume $run"
is "$run" cancelled || fail "Ctrl-C did not cancel"

# The index made anew says the same.
mlp runs ls --all --json >"$TEST_DIR/before"
expect_exit 0 mlp reindex
mlp runs ls --all --json >"$TEST_DIR/after"
cmp "$TEST_DIR/before" "$TEST_DIR/after" || fail "reindex changed what is listed"
first=$(mlp reindex --json)
second=$(mlp reindex --json)
equals "$first" "$second"
rm -f .mlp/index.db
mlp runs ls --all --json >"$TEST_DIR/after"
cmp "$TEST_DIR/before" "$TEST_DIR/after" || fail "a deleted index lost something"
head -c 9000 /dev/urandom >.mlp/index.db
mlp runs ls --all --json >"$TEST_DIR/after"
cmp "$TEST_DIR/before" "$TEST_DIR/after" || fail "a damaged index lost something"

# Names: a part that several have, and one that none has.
expect_exit 2 mlp runs show 20
contains "$err" "part of the ids"
expect_exit 4 mlp runs rm "$run" no-such-run
[ -d ".mlp/runs/$run" ] || fail "removed although one name was wrong"
expect_exit 0 mlp runs rm "$run"
[ ! -e ".mlp/runs/$run" ] || fail "not removed"
lacks "$(mlp runs ls --all)" "$run"

# Damaged journals: what is whole is read.
run=$(basename "$(find .mlp/runs -mindepth 1 -maxdepth 1 | sort | tail -1)")
printf 'garbage\n{"event":"sta' >>".mlp/runs/$run/events.jsonl"
expect_exit 0 mlp runs show "$run"
contains "$out" "1 damaged line"
echo '{' >".mlp/runs/$run/spec.json"
expect_exit 0 mlp runs ls
contains "$out" "damaged"
