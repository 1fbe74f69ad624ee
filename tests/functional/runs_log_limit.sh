#!/usr/bin/env bash
# A program that writes without end fills no disk: the beginning and the end of its log are kept, and
# what is left out is said.
source "$(dirname "$0")/lib.sh"
export MLP_LOG_LIMIT=4MiB

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  loud: {run: 'echo first words; seq 1 20000000; echo last words'}
  modest: {run: 'seq 1 100000'}
YAML
expect_exit 0 mlp train modest
equals "$(mlp runs logs latest | md5sum)" "$(seq 1 100000 | md5sum)"
lacks "$(mlp runs show latest --json)" "left out"

run=$(mlp train -d loud)
mlp runs logs -f "$run" >"$TEST_DIR/followed" 2>"$TEST_DIR/said"
expect_exit 0 mlp runs wait "$run"
log=.mlp/runs/$run/stdout.log
[ "$(stat -c %s "$log")" -gt 160000000 ] || fail "the program did not write enough"
kept=$(($(stat -c %b "$log") * 512))
[ "$kept" -lt 6000000 ] || skip "this file system has no holes: $kept bytes are kept"
contains "$(mlp runs show "$run" --json)" "in its middle are left out"
mlp runs logs "$run" >"$TEST_DIR/log" 2>"$TEST_DIR/said"
equals "$(head -1 "$TEST_DIR/log")" "first words"
equals "$(tail -1 "$TEST_DIR/log")" "last words"
contains "$(cat "$TEST_DIR/said")" "are left out here"
# Whoever reads gets no zeros, whenever it is: not now, and not while it went on.
for file in log followed; do
  equals "$(tr -d '\0' <"$TEST_DIR/$file" | wc -c)" "$(wc -c <"$TEST_DIR/$file")"
done
MLP_LOG_LIMIT=0 expect_exit 0 mlp train loud
equals "$(mlp runs logs latest 2>/dev/null | wc -c)" "$(stat -c %s ".mlp/runs/$(ls -t .mlp/runs | head -1)/stdout.log")"
