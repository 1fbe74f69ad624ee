#!/usr/bin/env bash
# kill -9 at random moments of init and train: what was printed is there, the rest is whole or
# absent, and the next command works.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  train:
    outs: [x]
    run: for i in 1 2 3 4 5; do echo "{\"step\":$i}" >> "$MLP_METRICS"; done; echo done > "$MLP_OUT_DIR/x"
YAML
begun=$(date +%s%N)
mlp train -d >/dev/null
usual=$((($(date +%s%N) - begun) / 1000000)) # ms; the kills come up to half as late again
acknowledged=()
for round in $(seq 1 25); do
  "$MLP" train -d >"$TEST_DIR/id" 2>/dev/null &
  pid=$!
  after=$((usual * (RANDOM % 130 + 20) / 100))
  sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
  kill -9 $pid 2>/dev/null || true
  wait $pid 2>/dev/null || true
  id=$(cat "$TEST_DIR/id")
  [ -z "$id" ] || acknowledged+=("$id")
  # A supervisor too, every third time.
  if [ $((round % 3)) = 0 ]; then
    for pid in $(pgrep -f -- "__supervise $PWD" || true); do kill -9 "$pid" 2>/dev/null || true; done
  fi
done
settled() { [ "$(mlp runs ls --all --json | grep -c '"state": "\(starting\|running\)"')" = 0 ]; }
wait_until 20 settled
for id in "${acknowledged[@]}"; do
  expect_exit 0 mlp runs show "$id"
  lacks "$out" "damaged"
done
for run in .mlp/runs/2*; do
  for file in spec.json events.jsonl; do [ -s "$run/$file" ] || fail "half a run: $run"; done
done
expect_exit 0 mlp train
[ "${#acknowledged[@]}" -gt 0 ] || echo "note: every command was killed before it spoke"

cd ..
for round in $(seq 1 15); do
  "$MLP" init "i$round" --template tabular-classifier >/dev/null 2>&1 &
  pid=$!
  sleep "0.00$((RANDOM % 9 + 1))"
  kill -9 $pid 2>/dev/null || true
  wait $pid 2>/dev/null || true
  expect_exit 0 mlp init "i$round" --template tabular-classifier
  [ -s "i$round/mlp.yaml" ] || fail "init was not completed"
done
