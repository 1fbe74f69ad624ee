#!/usr/bin/env bash
# Runs that ask for resources share the machine: first come, first served, over all projects; what a
# killed run held is free again; `mlp why` says who is before whom.
source "$(dirname "$0")/lib.sh"

cpus=$(nproc)
for p in p q; do
  mkdir -p $p
  cat >$p/mlp.yaml <<YAML
name: $p
tasks:
  all: {resources: {cpus: $cpus}, run: 'while [ ! -e "$TEST_DIR/go" ]; do sleep 0.05; done; date +%s%N'}
  one: {resources: {cpus: 1}, run: 'date +%s%N'}
  more: {resources: {cpus: $((cpus + 1))}, run: "true"}
  gpu: {resources: {accelerators: 64}, run: "true"}
  free: {run: "true"}
YAML
done
cd p
state() { mlp runs show "$1" --json | sed -n 's/^  "state": "\(.*\)",*$/\1/p'; }
is() { [ "$(state "$1")" = "$2" ]; }

expect_exit 3 mlp train more
contains "$err" "this machine has $cpus"
expect_exit 3 mlp train gpu
contains "$err" "this machine has"

first=$(mlp train -d all)
wait_until 20 is "$first" running
second=$(mlp train -d one)
sleep 0.3
third=$(mlp -C ../q train -d one)
sleep 0.3
fourth=$(mlp train -d one)
sleep 0.3
expect_exit 0 mlp train free # asks for nothing, waits for nothing
is "$second" queued || fail "the second did not wait"
expect_exit 0 mlp why "$second"
contains "$out" "it waits for 1 CPU of"
contains "$out" "running: run $first"
expect_exit 0 mlp why "$fourth"
contains "$out" "2 runs are ahead"
contains "$out" "before it: run $third"
expect_exit 0 mlp why "$fourth" --json
contains "$out" "$third"

# Cancelled while it waits.
fifth=$(mlp train -d one)
sleep 0.3
expect_exit 0 mlp runs cancel "$fifth"
contains "$out" "cancelled"

# A waiting supervisor is killed: who stands behind it does not wait for it.
sixth=$(mlp train -d one)
sleep 0.3
supervisor=$(sed -n 's/.*"supervisor":{.*"pid":\([0-9]*\).*/\1/p' ".mlp/runs/$sixth/events.jsonl" | tail -1)
seventh=$(mlp train -d one)
sleep 0.3
kill -9 "$supervisor"
wait_until 10 is "$sixth" lost

touch "$TEST_DIR/go"
expect_exit 0 mlp runs wait --timeout 60s "$first" "$second" "$fourth" "$seventh"
(cd ../q && expect_exit 0 mlp runs wait --timeout 60s "$third")
time_of() { cat ".mlp/runs/$1/stdout.log"; }
[ "$(time_of "$first")" -le "$(time_of "$second")" ] || fail "the second overtook the first"
[ "$cpus" -gt 1 ] || [ "$(time_of "$second")" -le "$(time_of "$fourth")" ] || fail "the fourth overtook the second"
contains "$(mlp why "$second")" "is succeeded"

# A supervisor that holds everything is killed: the next one starts.
rm "$TEST_DIR/go"
first=$(mlp train -d all)
wait_until 20 is "$first" running
second=$(mlp train -d one)
sleep 0.3
supervisor=$(sed -n 's/.*"supervisor":{.*"pid":\([0-9]*\).*/\1/p' ".mlp/runs/$first/events.jsonl" | tail -1)
kill -9 "$supervisor"
expect_exit 0 mlp runs wait --timeout 60s "$second"
equals "$(ls "$MLP_HOST_QUEUE")" lock
