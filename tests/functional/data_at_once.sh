#!/usr/bin/env bash
# No command waits for one that has nothing to do with it: while a push or an add of one dataset hangs,
# other datasets of the project are added, pushed and pulled; while a collection of garbage holds the
# store, whoever reads goes on.
source "$(dirname "$0")/lib.sh"

mkdir -p one two
printf 'name: t\ndatasets:\n  one: {path: one}\n  two: {path: two}\nremotes:\n  origin: "file:%s/store?link=no"\n' \
  "$TEST_DIR" >mlp.yaml
printf 'a,b\n1,2\n' >two/table.csv
mlp data add two >/dev/null
mlp data push two >/dev/null
first=$(sed -n 's/.*digest: //p' mlp.lock)

in_time() { # COMMAND...: it works, and soon
  expect_exit 0 timeout 20 "$MLP" "$@"
}
# Another version of `two` is added, pushed, and pulled elsewhere.
round=0
others_go_on() {
  round=$((round + 1))
  echo "$round" >two/round
  head -c 2000000 /dev/urandom >two/noise
  in_time data add two
  in_time data push two
  contains "$out" "sent to origin"
  rm -rf ../clone
  mkdir ../clone
  cp mlp.yaml mlp.lock ../clone
  in_time -C ../clone data pull two
  diff -r two ../clone/two || fail "what was pulled differs"
  in_time data cat two round
  equals "$out" "$round"
}
# stalled FOLDER COMMAND...: starts it, and stops it when it has written something below the folder.
# $stalled is its process.
stalled() {
  local folder=$1 before
  shift
  before=$(find "$folder" -type f -size +1M 2>/dev/null | sort)
  "$MLP" "$@" >"$TEST_DIR/stalled" 2>&1 &
  stalled=$!
  writes() { [ "$(find "$folder" -type f -size +1M 2>/dev/null | sort)" != "$before" ]; }
  wait_until 20 writes
  kill -STOP "$stalled" || fail "it was done before it could be stopped: the files are too small"
  is_stopped() { grep -q '^State:[[:space:]]*T' "/proc/$stalled/status"; }
  wait_until 5 is_stopped
}
goes_on() {
  is_stopped || fail "it did not hang all the while"
  kill -CONT "$stalled"
  wait "$stalled" || fail "what had hung failed: $(cat "$TEST_DIR/stalled")"
}

head -c 150000000 /dev/urandom >one/noise
stalled .mlp/objects data add one
others_go_on
goes_on
expect_exit 0 mlp data status
contains "$out" "one: unchanged"

mkdir -p "$TEST_DIR/store"
stalled "$TEST_DIR/store" data push one
others_go_on
# The same one may be pushed by somebody else, meanwhile: both win.
in_time data push one
goes_on
expect_exit 0 mlp data verify --remote origin

rm -rf ../clone
mkdir ../clone
cp mlp.yaml mlp.lock ../clone
stalled ../clone -C ../clone data pull one
in_time -C ../clone data pull two
diff -r two ../clone/two || fail "what was pulled beside another pull differs"
in_time data push
goes_on
diff -r one ../clone/one || fail "what was pulled differs"

# The lock of `gc`, held by somebody else: a collection waits, readers do not.
exec 9>.mlp/objects/lock
flock -x 9
expect_exit 124 timeout 1 "$MLP" data gc
in_time data ls two
contains "$out" table.csv
in_time data cat two table.csv
in_time data head two
in_time data du
in_time data log two
in_time data status
contains "$out" "two: unchanged"
in_time data diff "two@$first" two@latest
in_time data verify
in_time data export two ../exported
diff -r two ../exported || fail "what was exported differs"
flock -u 9
exec 9>&-
in_time data gc
