#!/usr/bin/env bash
# Training on several devices, which without a GPU are ranks on the CPU: the same model each time, a
# rank that is lost is done without, and no rank outlives its run.
source "$(dirname "$0")/lib.sh"

mlp init digits --template image-classifier >/dev/null 2>&1
cd digits || exit 1
sed -i 's/patience: 15/patience: 0/; s/^    trainer:/&\n      devices: 2/' mlp.yaml
devices() { sed -i "s/^      devices: .*/      devices: $1/" mlp.yaml; }
digest_of() { mlp model show "digits@$1" --json | jq -r .digest; }
ended() { mlp runs ls --all --state succeeded --json | grep -q "\"$1\""; }
has_checkpoint() { [ -n "$(ls ".mlp/runs/$1/checkpoints" 2>/dev/null)" ] || ended "$1"; }
# The processes of a run's ranks, in their order.
ranks_of() {
  local pid
  for pid in $(pgrep -f -- "__trainer .*$1"); do
    tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | sed -n "s/^MLP_RANK_STATUS=.*rank-\([0-9]*\).json/\1 $pid/p"
  done | sort -n | cut -d' ' -f2
}
no_ranks() { [ -z "$(ranks_of "$1")" ]; }

expect_exit 0 mlp train -p epochs=6
contains "$err" "2 ranks train on the CPU: "
expect_exit 0 mlp train -p epochs=6
equals "$(digest_of 2)" "$(digest_of 1)"
devices 3
expect_exit 0 mlp train -p epochs=6
contains "$err" "3 ranks train on the CPU: "
accuracy=$(mlp runs ls --json | jq '.runs[0].metrics.test_accuracy')
awk "BEGIN { exit !($accuracy > 0.9) }" || fail "test_accuracy $accuracy"

# What is asked for has to make sense, and what goes wrong in training is said once, by its name.
devices '[1, 1]'
expect_exit 3 mlp train
contains "$err" "names 1 twice"
devices none
expect_exit 3 mlp train
contains "$err" "all, a number of devices, or a list of their numbers"
devices 0
expect_exit 3 mlp train
devices 3
sed -i 's/name: adamw/name: sgd/' mlp.yaml
expect_exit 10 mlp train -p lr=100
sed -i 's/name: sgd/name: adamw/' mlp.yaml
contains "$err" "the loss is no longer finite"
lacks "$err" "was lost"

# A rank that is killed, the first one too, or that no longer answers: the others go on.
export MLP_RANK_TIMEOUT=2
run=$(mlp train -d -p epochs=200)
for victim in KILL:2 STOP:1; do
  wait_until 60 has_checkpoint "$run"
  pid=$(ranks_of "$run" | sed -n "$((${victim#*:} + 1))p")
  [ -n "$pid" ] || break
  kill "-${victim%:*}" "$pid"
  said="rank ${victim#*:} was lost"
  wait_until 60 grep -q "$said" ".mlp/runs/$run/stdout.log"
done
wait_until 120 ended "$run"
log=$(mlp runs logs "$run")
contains "$log" "rank 2 was lost: it was ended by SIGKILL; goes on with 2 ranks from the last checkpoint"
contains "$log" "rank 1 was lost"
contains "$log" "goes on with 1 rank from"
contains "$log" "resumes from a checkpoint"

# Cancelled and resumed: as if it had been left alone.
devices 2
expect_exit 0 mlp train -p epochs=80
reference=$(digest_of latest)
run=$(mlp train -d -p epochs=80)
wait_until 60 has_checkpoint "$run"
mlp runs cancel "$run" >/dev/null 2>&1
wait_until 10 no_ranks "$run"
mlp train -d --resume "$run" >/dev/null 2>&1 || true
wait_until 60 ended "$run"
equals "$(digest_of latest)" "$reference"

# Ranks end with the process that has started them.
run=$(mlp train -d -p epochs=100000)
wait_until 60 has_checkpoint "$run"
[ "$(ranks_of "$run" | wc -l)" = 2 ] || fail "ranks: $(ranks_of "$run")"
kill -9 "$(pgrep -o -f -- "__trainer .*$run")"
wait_until 10 no_ranks "$run"
