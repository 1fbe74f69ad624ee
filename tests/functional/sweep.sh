# shellcheck shell=bash
# Sweeps as a user runs them: grid, chance with two at a time, a killed driver and a resume that
# repeats nothing, a wrong objective, stop, early stopping, and the best trial's model.
source "$(dirname "$0")/lib.sh"

cat >mlp.yaml <<'YAML'
name: p
tasks:
  train:
    params: {x: 0, kind: a, steps: 4, pause: 0}
    run: |
      echo "$MLP_RUN_ID" >>started
      while [ -e hold ] && [ "$(wc -l <started)" -ge 6 ]; do sleep 0.05; done
      for i in $(seq ${params.steps}); do
        awk -v x=${params.x} -v i=$i 'BEGIN {
          printf "{\"step\": %d, \"loss\": %.6f}\n", i, (x - 0.3) ^ 2 + 0.1 / i }' >>"$MLP_METRICS"
        sleep ${params.pause}
      done
      mkdir "$MLP_OUT_DIR/model"
      echo ${params.x} >"$MLP_OUT_DIR/model/x"
  broken:
    params: {x: 0}
    run: echo "no such luck" >&2; exit 3
  waiting:
    params: {x: 0}
    run: |
      echo '{"loss": 1}' >>"$MLP_METRICS"
      while [ ! -e go ]; do sleep 0.02; done
sweeps:
  grid:
    task: train
    searcher: {name: grid, metric: loss, mode: min}
    parameters:
      kind: [a, b]
      x: {type: double, minval: 0, maxval: 1, count: 3, when: {kind: a}}
  chance:
    task: train
    searcher: {name: random, metric: loss, mode: min, max_trials: 8, max_concurrent: 2, seed: 5}
    parameters:
      x: {type: double, minval: 0, maxval: 1}
      pause: 0.1
  tpe:
    task: train
    searcher: {name: tpe, metric: loss, mode: min, max_trials: 12, startup_trials: 4}
    parameters:
      x: {type: double, minval: 0, maxval: 1}
    model: best
  asha:
    task: train
    searcher: {name: asha, sampler: grid, metric: loss, mode: min, max_time: 6, divisor: 2}
    parameters:
      x: [0.3, 0.4, 1, 0.9]
      steps: 6
      pause: 0.15
  misnamed:
    task: train
    searcher: {name: random, metric: los, mode: min, max_trials: 8, max_concurrent: 2}
    parameters: {x: [1, 2]}
  broken:
    task: broken
    searcher: {name: random, metric: loss, mode: min, max_trials: 8}
    parameters: {x: {type: int, minval: 1, maxval: 9}}
  waiting:
    task: waiting
    searcher: {name: random, metric: loss, mode: max, max_trials: 3, max_concurrent: 3}
    parameters: {x: {type: int, minval: 1, maxval: 9}}
YAML

# json_of EXPRESSION, of the JSON on standard input as `s`
json_of() { python3 -c "import json, sys; s = json.load(sys.stdin); print(($1))"; }
run_count() { find .mlp/runs -mindepth 1 -maxdepth 1 -name '2*' | wc -l; }

# Nothing is written down by --dry-run.
expect_exit 0 mlp sweep run grid --dry-run
contains "$out" "would run 4 trials of task 'train', 1 at a time, for the smallest loss"
contains "$out" "trial 4: kind=b"
[ ! -e .mlp/sweeps ] || fail "--dry-run made a sweep"
expect_exit 2 mlp sweep run
contains "$err" "mlp.yaml has grid, chance"
expect_exit 4 mlp sweep run chanc
contains "$err" "did you mean 'chance'?"
expect_exit 4 mlp sweep show latest
contains "$err" "start one with mlp sweep run"

# A grid: each point once, and the best of them.
expect_exit 0 mlp sweep run grid --json
equals "$(json_of 's["state"], len(s["trials"]), s["trials"][0]["params"], s["best"]' <<<"$out")" \
  "('finished', 4, {'kind': 'a', 'x': 0.5}, 2)"
equals "$(run_count)" 4
expect_exit 0 mlp sweep run grid
contains "$err" "trial 2/4 finished: loss 0.065 (best 0.065 of trial 2); kind=a x=0.5; run "
contains "$out" "best: trial 2, loss 0.065"

# Trials are runs: they are listed with the sweep's tag, and say where they belong.
id=$(mlp sweep show grid --json | json_of 's["sweep"]')
equals "$(mlp runs ls --where "tags = sweep-$id" --json | json_of 'len(s["runs"])')" 4
contains "$(mlp runs show latest)" "sweep     $id, trial 4"
expect_exit 5 mlp sweep resume "$id"
contains "$err" "has finished"

# TPE registers the model of the best trial, and of no other.
expect_exit 0 mlp sweep run tpe
contains "$out" "model best@1"
best=$(mlp sweep show tpe --json | json_of 's["trials"][0]["run"]')
contains "$(mlp runs show "$best")" "model     best@1"
equals "$(mlp model show best@1 --json | json_of 's["lineage"]["run"]')" "$best"

# The driver is killed with two trials under way; they go on, are adopted, and nothing is repeated.
rm -f started
touch hold
"$MLP" sweep run chance >/dev/null 2>&1 &
driver=$!
ended() { [ "$(mlp sweep show chance --json | json_of 'sum(t["state"] == "finished" for t in s["trials"])')" -ge "$1" ]; }
wait_until 30 ended 3
kill -9 "$driver"
wait "$driver" 2>/dev/null || true
contains "$(mlp sweep show chance)" "lost: its process is gone"
before=$(mlp sweep show chance --json | json_of 'sorted((t["trial"], t["run"], t["params"]["x"]) for t in s["trials"])')
[ "$(json_of 'len(s["trials"])' < <(mlp sweep show chance --json))" -lt 8 ] || fail "it was too late to kill it"
rm hold
expect_exit 0 mlp sweep resume chance
after=$(mlp sweep show chance --json | json_of 'sorted((t["trial"], t["run"], t["params"]["x"]) for t in s["trials"])')
contains "$after" "$(sed 's/]$//' <<<"$before")"
equals "$(mlp sweep show chance --json | json_of 's["state"], len(s["trials"])')" "('finished', 8)"
equals "$(sort started | uniq -d | wc -l)" 0
# What the same seed would have drawn without the kill.
planned=$(mlp sweep run chance --dry-run --json | json_of 'sorted(float(t["x"]) for t in s["first"])')
equals "$(mlp sweep show chance --json | json_of 'sorted(t["params"]["x"] for t in s["trials"])')" "$planned"

# A run that was decided on but never made is made by the resume.
sweep=$(mlp sweep run waiting --detach)
wait_until 20 grep -q '"trial":3' ".mlp/sweeps/$sweep/events.jsonl"
expect_exit 5 mlp sweep resume "$sweep"
contains "$err" "is running"
mlp sweep stop --now "$sweep" >/dev/null
contains "$(mlp sweep show "$sweep")" "stopped: stopped by"
cat ".mlp/sweeps/$sweep/driver.log" >"$TEST_DIR/log"
contains "$(cat "$TEST_DIR/log")" "go on with: mlp sweep resume $sweep"
lost=$(mlp sweep show "$sweep" --json | json_of 's["trials"][2]["run"]')
mlp runs rm "$lost" >/dev/null 2>&1
touch go
expect_exit 0 mlp sweep resume "$sweep" --json
equals "$(json_of 's["state"], [t["state"] for t in s["trials"]]' <<<"$out")" \
  "('finished', ['finished', 'finished', 'finished'])"
[ -d ".mlp/runs/$lost" ] || fail "the trial without a run was not made again"
attempts=$(mlp runs show "$(mlp sweep show "$sweep" --json | json_of '[t["run"] for t in s["trials"] if t["trial"] == 1][0]')" | grep -c '^attempts  2' || true)
equals "$attempts" 1

# Ctrl-C stops the trials and says how to go on; so does a stop of a sweep that lost its process.
rm go
"$MLP" sweep run waiting >"$TEST_DIR/out" 2>"$TEST_DIR/err" &
driver=$!
running() { [ "$(mlp runs ls --state running --json | json_of 'len(s["runs"])')" = "$1" ]; }
wait_until 20 running 3
# An interactive shell's child would have it so; that of a script ignores SIGINT until it is set.
kill -INT "$driver"
code=0
wait "$driver" || code=$?
equals "$code" 130
contains "$(cat "$TEST_DIR/err")" "hint: go on with: mlp sweep resume"
wait_until 10 running 0
mlp sweep resume waiting -d >/dev/null
wait_until 20 running 3
pid=$(pgrep -f "sweep resume $(mlp sweep show waiting --json | json_of 's["sweep"]')" | head -1)
kill -9 "$pid"
wait_until 10 eval 'mlp sweep show waiting | grep -q "^state *lost"'
expect_exit 0 mlp sweep stop waiting
contains "$out" "stopped"
running 0 || fail "a trial goes on after the stop"

# ASHA stops what falls behind; that is no failure.
expect_exit 0 mlp sweep run asha
contains "$err" "stopped by ASHA at rung"
contains "$out" "4 trials, 3 stopped early"
show=$(mlp sweep show asha)
contains "$show" "go on"
stopped=$(mlp sweep show asha --json | json_of '[t["run"] for t in s["trials"] if t["state"] == "stopped"][0]')
contains "$(mlp runs show "$stopped")" "state     cancelled: stopped by ASHA at rung"
[ "$(wc -l <".mlp/runs/$stopped/metrics.jsonl")" -lt 6 ] || fail "a stopped trial ran to its end"

# An objective that no run reports, and a program that never works, end the sweep at once.
expect_exit 3 mlp sweep run misnamed
contains "$err" "mlp.yaml:51:38: trial"
contains "$err" "reported no 'los'"
contains "$err" "did you mean 'loss'?"
contains "$err" "it reported: loss"
equals "$(mlp sweep show misnamed --json | json_of 's["state"], len(s["trials"]) <= 3')" "('failed', True)"
expect_exit 10 mlp sweep run broken
contains "$err" "the first 3 trials of sweep"
contains "$err" "mlp runs logs"
expect_exit 0 mlp sweep ls
contains "$out" "broken"

# Names complete.
contains "$(mlp __complete sweep run '' 2>/dev/null)" "chance"
contains "$(mlp __complete sweep show '' 2>/dev/null)" "$id"
