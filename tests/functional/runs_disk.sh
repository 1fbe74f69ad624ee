#!/usr/bin/env bash
# A full disk and a folder that cannot be written: clear errors, and nothing lost.
source "$(dirname "$0")/lib.sh"

make_project() {
  cat >mlp.yaml <<'YAML'
name: p
tasks:
  train:
    run: echo hello; echo '{"loss":1}' >> "$MLP_METRICS"
  fill:
    run: head -c 100000000 /dev/zero > "$MLP_OUT_DIR/big"
YAML
}

# Read-only: looking works, starting says why not.
mkdir ro && cd ro
make_project
expect_exit 0 mlp train
rm -f .mlp/index.db*
if [ "$(id -u)" = 0 ]; then
  # root writes anywhere but on a file system that is mounted read-only
  if mount --bind "$PWD" "$PWD" 2>/dev/null; then
    cd .. && cd ro
    mount -o remount,ro,bind "$PWD" 2>/dev/null || { umount "$PWD"; skip "cannot remount read-only"; }
    trap 'cd /; umount -l "$TEST_DIR/work/ro"; cleanup' EXIT
    readonly_tree=1
  fi
else
  chmod -R a-w .
  readonly_tree=1
fi
if [ "${readonly_tree:-0}" = 1 ]; then
  expect_exit 0 mlp runs ls
  contains "$out" "succeeded"
  expect_exit 0 mlp runs show latest
  expect_exit 6 mlp train
  contains "$err" "read-only"
  cd ..
  if [ "$(id -u)" = 0 ]; then umount -l "$TEST_DIR/work/ro"; trap cleanup EXIT; fi
fi

small_disk 2m
cd "$TEST_DIR/disk"
make_project
expect_exit 0 mlp train
expect_exit 10 mlp train fill
expect_exit 0 mlp runs ls
[ "$(printf '%s\n' "$out" | grep -c 'succeeded\|failed')" = 2 ] || fail "runs are missing: $out"
code=0
mlp train >"$TEST_DIR/out" 2>"$TEST_DIR/err" || code=$?
[ "$code" != 0 ] || fail "a run on a full disk succeeded"
contains "$(cat "$TEST_DIR/err")" "No space left"
expect_exit 0 mlp runs ls
rm -rf .mlp/runs/*/outs/big
expect_exit 0 mlp train
