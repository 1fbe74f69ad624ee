#!/usr/bin/env bash
# A training that is stopped, killed and resumed ends with the same model, bit for bit, as one that
# was left alone.
source "$(dirname "$0")/lib.sh"

mlp init digits --template image-classifier >/dev/null 2>&1
cd digits || exit 1
# Long enough to be stopped on a quick machine too.
sed -i 's/patience: 15/patience: 0/' mlp.yaml
expect_exit 0 mlp train -p epochs=150
reference=$(mlp model show digits@1 --json | sed -n 's/^  "digest": "\(.*\)",*$/\1/p')
[ -n "$reference" ] || fail "no digest"

# A run that has succeeded keeps no checkpoints.
ended() { mlp runs ls --all --state succeeded --json | grep -q "\"$1\""; }
has_checkpoint() { [ -n "$(ls ".mlp/runs/$1/checkpoints")" ] || ended "$1"; }
supervisor_of() { sed -n 's/.*"supervisor":{.*"pid":\([0-9]*\).*/\1/p' ".mlp/runs/$1/events.jsonl" | tail -1; }
# A killed supervisor may not have gone yet.
goes_on() { ended "$1" || mlp train -d --resume "$1" >/dev/null 2>&1; }

run=$(mlp train -d -p epochs=150)
stops=0
for way in cancel kill cancel now; do
  wait_until 30 has_checkpoint "$run"
  sleep 0.1
  case $way in
    cancel) mlp runs cancel "$run" >/dev/null 2>&1 ;;
    now) mlp runs cancel --now "$run" >/dev/null 2>&1 ;;
    kill) kill -9 "$(supervisor_of "$run")" 2>/dev/null || true ;;
  esac
  wait_until 30 goes_on "$run"
  ended "$run" && break # it was quicker than we
  stops=$((stops + 1))
done
[ "$stops" -gt 0 ] || skip "the training ended before it could be stopped"
wait_until 150 ended "$run"
resumed=$(mlp model show digits@2 --json | sed -n 's/^  "digest": "\(.*\)",*$/\1/p')
equals "$resumed" "$reference"
contains "$(mlp runs logs "$run")" "resumes from a checkpoint"

# Other data than the run began with is refused.
run=$(mlp train -d -p epochs=100000)
wait_until 30 has_checkpoint "$run"
mlp runs cancel "$run" >/dev/null
echo more >data/README
expect_exit 5 mlp train --resume "$run"
contains "$err" "not the version"
