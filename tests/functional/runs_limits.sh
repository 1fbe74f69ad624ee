#!/usr/bin/env bash
# `resources:` with control groups: a program beyond its memory is killed and said so, one beyond its
# CPUs is slowed down; a lower bound limits nothing; without the right to make groups a warning says
# that they are advice.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  vast: {resources: {disk_size: 1000000}, run: "true"}
  eats: {resources: {memory: 0.1}, run: 'python3 -c "b = bytearray(400 << 20); print(len(b))"'}
  fits: {resources: {memory: 1}, run: 'python3 -c "b = bytearray(100 << 20); print(len(b))"'}
  bound: {resources: {memory: 0.1+}, run: 'python3 -c "b = bytearray(400 << 20); print(len(b))"'}
  spins:
    resources: {cpus: 0.25}
    run: |
      python3 -c '
      import time
      end = time.time() + 1
      while time.time() < end: pass
      print(time.process_time())'
YAML
expect_exit 0 mlp train bound
expect_exit 0 mlp train fits
warnings=$(mlp runs show latest --json)
case "$warnings" in
  *"resources are not enforced"*)
    contains "$warnings" "control group"
    skip "no control groups can be made here: resources are advice, and a warning says so"
    ;;
esac
expect_exit 10 mlp train eats
contains "$err" "ran out of the memory that it asked for"
expect_exit 0 mlp train spins
used=$(mlp runs logs latest)
awk -v used="$used" 'BEGIN { exit !(used < 0.6) }' || fail "a quarter of a CPU was $used s in one second"
for run in .mlp/runs/*; do
  [ -z "$(find /sys/fs/cgroup -name "mlp-$(basename "$run")" 2>/dev/null | head -1)" ] || fail "a control group was left behind"
done

# Disk is looked at before the start; a run that cannot be had leaves nothing behind.
before=$(ls .mlp/runs | wc -l)
expect_exit 1 mlp train vast
contains "$err" "it asks for 976.6 TiB of disk"
equals "$(ls .mlp/runs | wc -l)" "$before"

# Without the right to make them.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  chmod 755 "$TEST_DIR" "$TEST_DIR/work"
  chown -R 65534:65534 .
  mkdir "$TEST_DIR/home2" && chown 65534 "$TEST_DIR/home2"
  HOME=$TEST_DIR/home2 MLP_HOST_QUEUE=$TEST_DIR/home2/queue setpriv --reuid=65534 --regid=65534 --clear-groups \
    "$MLP" train fits >/dev/null 2>&1 || fail "the run failed for want of control groups"
  HOME=$TEST_DIR/home2 setpriv --reuid=65534 --regid=65534 --clear-groups "$MLP" runs show latest --json >"$TEST_DIR/shown"
  contains "$(cat "$TEST_DIR/shown")" "resources are not enforced"
fi
