#!/usr/bin/env bash
# job_recovery: a program that fails is started again, as often as the task says, with its
# checkpoints; so is a run whose supervisor was killed, by whoever follows it. KILLS=10 kills the
# built-in trainer so often.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  third:
    job_recovery: {max_restarts_on_errors: 3}
    run: |
      echo attempt >> "$MLP_CHECKPOINT_DIR/attempts"
      echo "attempt $(wc -l < "$MLP_CHECKPOINT_DIR/attempts")"
      [ "$(wc -l < "$MLP_CHECKPOINT_DIR/attempts")" -ge 3 ] || exit 7
  never:
    job_recovery: {max_restarts_on_errors: 2}
    run: echo tried; exit 9
  asks:
    job_recovery: {recover_on_exit_codes: [33]}
    run: |
      echo x >> "$MLP_CHECKPOINT_DIR/n"
      [ "$(wc -l < "$MLP_CHECKPOINT_DIR/n")" -ge 4 ] || exit 33
      exit 5
  long:
    job_recovery: {max_restarts_on_errors: 1000}
    run: exit 1
  killed:
    job_recovery: {max_restarts_on_errors: 1}
    run: |
      echo x >> "$MLP_CHECKPOINT_DIR/n"
      [ "$(wc -l < "$MLP_CHECKPOINT_DIR/n")" -ge 2 ] || sleep 300
      echo recovered
YAML
show() { mlp runs show "$1" --json; }

expect_exit 0 mlp train third
run=$(ls .mlp/runs)
contains "$(show "$run")" '"attempts": 3'
contains "$(mlp runs logs "$run")" "attempt 3"
contains "$(cat ".mlp/runs/$run/events.jsonl")" "the program ended with exit code 7; restart 2 of 3"
contains "$(cat ".mlp/runs/$run/events.jsonl")" '"exit_code":7'

expect_exit 10 mlp train never
contains "$err" "exit code 9"
equals "$(mlp runs logs latest | grep -c tried)" 3

expect_exit 10 mlp train asks
contains "$err" "exit code 5"
contains "$(show latest)" '"attempts": 4'

# Cancelled while it waits for its next attempt.
run=$(mlp train -d long)
tried_often() { [ "$(grep -c '"state":"running"' ".mlp/runs/$run/events.jsonl")" -ge 3 ]; }
wait_until 20 tried_often
expect_exit 0 mlp runs cancel "$run"
contains "$out" "cancelled"

# Its supervisor is killed: who follows the run starts it again, once.
"$MLP" train killed >"$TEST_DIR/followed" 2>&1 &
follower=$!
is_running() { [ "$(mlp runs ls --state running --json | grep -c '"task": "killed"')" = 1 ]; }
wait_until 20 is_running
run=$(mlp runs ls --state running --json | sed -n 's/.*"run": "\(.*\)",*$/\1/p' | head -1)
supervisor=$(sed -n 's/.*"supervisor":{.*"pid":\([0-9]*\).*/\1/p' ".mlp/runs/$run/events.jsonl" | tail -1)
sleep 0.3
kill -9 "$supervisor"
wait "$follower" || fail "the run was not recovered: $(cat "$TEST_DIR/followed")"
contains "$(cat "$TEST_DIR/followed")" "is started again"
contains "$(mlp runs logs "$run")" "recovered"

# The built-in trainer, killed at random moments, ends with the model of one that was left alone.
cd ..
mlp init digits --template image-classifier >/dev/null 2>&1
cd digits || exit 1
sed -i 's/patience: 15/patience: 0/' mlp.yaml
expect_exit 0 mlp train -p epochs=200
kills=${KILLS:-2}
sed -i 's/^  train:/  train:\n    job_recovery: {max_restarts_on_errors: 20}/' mlp.yaml
run=$(mlp train -d -p epochs=200)
ended() { ! mlp runs ls --json | grep -q '"state": "\(running\|starting\|queued\|pending\)"'; }
trainer() { pgrep -f "__trainer .*$run"; }
killed=0
while [ "$killed" -lt "$kills" ] && ! ended; do
  wait_until 90 sh -c "pgrep -f '__trainer .*$run' || ! [ -e '.mlp/runs/$run' ]" || true
  sleep "0.$((RANDOM % 10))"
  trainer | xargs -r kill -9 2>/dev/null && killed=$((killed + 1))
done
[ "$killed" -gt 0 ] || skip "the training ended before it could be killed"
wait_until 240 ended
contains "$(show "$run")" '"state": "succeeded"'
digest() { mlp model show "$1" --json | sed -n 's/^  "digest": "\(.*\)",*$/\1/p'; }
equals "$(digest digits@2)" "$(digest digits@1)"
echo "killed $killed times, $(grep -c '"state":"running"' ".mlp/runs/$run/events.jsonl") attempts"
