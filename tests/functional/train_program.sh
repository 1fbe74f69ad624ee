#!/usr/bin/env bash
# Any program as a task: what it finds, what is kept, how it fails.
source "$(dirname "$0")/lib.sh"

mlp init custom --template custom 2>/dev/null >/dev/null
cd custom
expect_exit 0 mlp train --register flowers
contains "$out" "model flowers@1"
cd ..

mkdir p && cd p
echo "a,b" >data.csv
cat >mlp.yaml <<'YAML'
name: p
datasets:
  d: {path: data.csv}
tasks:
  train:
    data: [d]
    params: {lr: 0.1, text: "it's $HOME"}
    env: {GREETING: "hello ${env.WHO}"}
    outs: [result.txt]
    run: |
      echo "out ${params.text}"; echo "err $GREETING" >&2
      cat "$MLP_DATA_D" "$MLP_PARAMS"
      echo '{"step": 1, "loss": 0.5}' >> "$MLP_METRICS"
      echo 'nonsense' >> "$MLP_METRICS"
      printf '{"step": 2, "loss": NaN, "acc": 0.75}' >> "$MLP_METRICS"
      echo "$MLP_PROJECT $WORLD_SIZE $RANK $MASTER_ADDR" > "$MLP_OUT_DIR/result.txt"
  fails:
    run: "echo some words >&2; exit 7"
  forgets:
    outs: [model]
    run: "true"
  missing:
    run: no-such-program --at-all
  slow:
    resources: {max_duration: 1s}
    run: echo begun; sleep 300
  forks:
    run: (setsid sleep 300 & echo $! > leftover); echo ended
YAML
WHO=world expect_exit 0 mlp train
contains "$out" "loss"
contains "$err" "1 line that is no JSON object"
run=.mlp/runs/$(ls .mlp/runs)
equals "$(head -1 "$run/stdout.log")" "out it's \$HOME"
equals "$(cat "$run/stderr.log")" "err hello world"
contains "$(cat "$run/stdout.log")" "a,b"
contains "$(cat "$run/stdout.log")" '"lr": 0.1'
equals "$(cat "$run/outs/result.txt")" "$PWD 1 0 127.0.0.1"
# What came from the environment is in no record of the run.
for file in spec.json events.jsonl metrics.jsonl mlp.yaml; do
  lacks "$(cat "$run/$file")" "world"
done
expect_exit 3 mlp train
contains "$err" "WHO"

export WHO=world
expect_exit 10 mlp train fails
contains "$err" "exit code 7"
contains "$err" "some words"
contains "$err" "mlp runs logs"
expect_exit 10 mlp train fails --json
[ -z "$out" ] || fail "stdout is not empty: $out"
contains "$err" '"kind"'
expect_exit 10 mlp train forgets
contains "$err" "did not write 'model'"
expect_exit 10 mlp train missing
contains "$err" "exit code 127"
expect_exit 10 mlp train slow
contains "$err" "longer than max_duration"
expect_exit 0 mlp train forks
kill -0 "$(cat leftover)" 2>/dev/null && fail "what the program left behind still runs"

# Detached: the id is all that is printed, and the run goes on.
sed -i 's/exit 7/sleep 1; exit 7/' mlp.yaml
expect_exit 0 mlp train fails --detach
id=$out
[ -d ".mlp/runs/$id" ] || fail "no run '$id'"
expect_exit 0 mlp runs logs -f --stderr "$id"
contains "$out" "some words"
wait_until 10 sh -c "'$MLP' runs ls --state failed | grep -q '$id'"

# Two at once.
mlp train >/dev/null 2>&1 &
first=$!
mlp train >/dev/null 2>&1 &
second=$!
wait "$first" || fail "the first of two failed"
wait "$second" || fail "the second of two failed"
