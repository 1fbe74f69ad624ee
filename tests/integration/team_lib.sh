# A team's work at any remote, for the tests with real servers: ada and grace have a copy of one
# project each, in ada/ and grace/ of the test's folder.
# shellcheck shell=bash

# ada_pushes URL: ada makes the project and pushes it there. Ends in ada/.
ada_pushes() {
  mkdir -p ada/data/sub
  cd ada
  printf 'name: t\n' >mlp.yaml
  head -c 30000000 /dev/urandom >data/noise.bin
  for i in $(seq 200); do echo "file $i" >"data/sub/$i.txt"; done
  mlp data add set data >/dev/null
  expect_exit 0 mlp remote add origin "$1"
  equals "$out" "origin is $1"
  expect_exit 0 mlp data push
  contains "$out" "sent to origin"
  expect_exit 0 mlp data push
  contains "$out" "nothing to send"
  expect_exit 0 mlp data verify --remote origin
}

# From ada/: grace gets what git would bring. Ends in grace/.
grace_joins() {
  mkdir ../grace
  cp mlp.yaml mlp.lock ../grace
  cd ../grace
}
grace_pulls() {
  expect_exit 0 mlp data pull
  diff -r ../ada/data data || fail "pulled files differ"
}

# In grace/: a small edit of a large file is a small push; both of two pushes at once win.
both_push() {
  sleep 0.3
  printf 'x' | dd of=data/noise.bin bs=1 seek=15000000 conv=notrunc status=none
  mlp data add >/dev/null
  echo mine >../ada/data/mine.txt
  (cd ../ada && mlp data add >/dev/null && mlp data push >"$TEST_DIR/ada.out" 2>&1) &
  expect_exit 0 mlp data push --json
  wait $! || fail "the other push failed: $(cat "$TEST_DIR/ada.out")"
  sent=$(jq '[.. | .sent_bytes? // .bytes_sent? // empty] | add // 0' <<<"$out")
  [ "$sent" -lt 2000000 ] || fail "a small edit sent $sent bytes"
}

# In grace/, after it: the garbage of the remote goes, the version before the edit, and the latest
# stays whole.
grace_collects() {
  sleep 1.1 # versions are dated by the second, and what is of this one is not older
  expect_exit 0 mlp data gc --remote origin --older-than 0s
  contains "$out" "forgot"
  expect_exit 0 mlp data verify --remote origin
  mkdir ../after
  cp mlp.yaml mlp.lock ../after
  (cd ../after && expect_exit 0 mlp data pull && expect_exit 0 mlp data verify)
}

# killed_pushes SECONDS...: in ada/, pushes of much that is new end by kill -9 after so long.
killed_pushes() {
  local victim
  head -c 60000000 /dev/urandom >data/more.bin
  mlp data add >/dev/null
  for wait; do
    "$MLP" data push >/dev/null 2>&1 &
    victim=$!
    sleep "$wait"
    kill -9 "$victim" 2>/dev/null || true
    wait "$victim" 2>/dev/null || true
  done
}
# In ada/, after them: one goes on to the end, and all is there for who comes new.
push_goes_on() {
  expect_exit 0 mlp data push
  expect_exit 0 mlp data verify --remote origin
  rm -rf .mlp data
  expect_exit 0 mlp data pull
  equals "$(stat -c %s data/more.bin)" 60000000
}

# mounted PROCESS...: the version in use through a mount: the files are those of data/, and what was
# read is read again while the processes, those of the remote, are stopped; afterwards the rest.
mounted() {
  if [ ! -e /dev/fuse ] || ! command -v fusermount3 >/dev/null; then
    echo "no mount is tried: there is no /dev/fuse, or fusermount3 is not installed"
    return 0
  fi
  mnt=$TEST_DIR/mnt
  # The cleanup of lib.sh removes the folder: nothing may be mounted below it then.
  trap 'code=$?; umount -l "$mnt" 2>/dev/null || true; (exit $code); cleanup' EXIT
  expect_exit 0 mlp data mount --detach set "$mnt"
  # Past the kernel's own cache, so that each read is asked of mlp.
  read_direct() { timeout 20 dd if="$mnt/$1" iflag=direct bs=1M "${@:2}" status=none; }
  cmp <(read_direct noise.bin count=8) <(head -c 8388608 data/noise.bin)
  kill -STOP "$@"
  cmp <(read_direct noise.bin count=8) <(head -c 8388608 data/noise.bin) ||
    fail "what the mount had cached cannot be read while the remote hangs"
  kill -CONT "$@"
  diff -r data "$mnt" || fail "the mount differs"
  expect_exit 0 mlp data unmount "$mnt"
}
