#!/usr/bin/env bash
# `mlp data gc --remote`: old versions without a name go from a remote with what only they had;
# pushes beside it, readers beside it and kill -9 lose nothing.
source "$(dirname "$0")/lib.sh"

work=$TEST_DIR/work
project() {
  mkdir -p "$work/$1/data"
  cd "$work/$1"
  printf 'name: t\ndatasets:\n  %s: {path: data}\nremotes:\n  origin: file:%s/store?link=no\n' "${2:-set}" "$TEST_DIR" >mlp.yaml
}
version() { # files of noise, the first N*5 of them its own
  local i
  for i in $(seq $((($1 - 1) * 5)) $(($1 * 5 + 14))); do head -c 30000 /dev/urandom >"data/f$i"; done
  mlp data add >/dev/null
  mlp data push >/dev/null
}
digest() { sed -n 's/.*digest: sha256://p' mlp.lock; }
bytes() { du -sb "$TEST_DIR/store/packs" | cut -f1; }
# The version can be fetched by somebody who has nothing, and is whole.
whole() {
  rm -rf "$work/reader"
  mkdir "$work/reader"
  cp mlp.yaml "$work/reader"
  (cd "$work/reader" && mlp data fetch "set@sha256:$1" >/dev/null 2>"$TEST_DIR/reader" && mlp data verify >/dev/null)
}

project a
version 1 && old=$(digest)
version 2 && tagged=$(digest)
mlp data tag set v2 --remote origin >/dev/null
version 3 && young=$(digest)
version 4 && in_git=$(digest)
git init -q . && git add mlp.lock && git commit -qm one
version 5 && latest=$(digest)

# Nothing is old: all versions stay.
expect_exit 0 mlp data gc --remote origin
contains "$out" "nothing to remove"
for v in "$old" "$tagged" "$young" "$in_git" "$latest"; do whole "$v" || fail "$v is gone"; done

# Old are those published before; a tag, git, and being the latest keep a version.
sed -i 's/"time":"[^"]*"/"time":"2020-01-01T00:00:00.000Z"/' "$TEST_DIR/store/refs/datasets/set/versions/$old" \
  "$TEST_DIR/store/refs/datasets/set/versions/$tagged" "$TEST_DIR/store/refs/datasets/set/versions/$in_git" \
  "$TEST_DIR/store/refs/datasets/set/versions/$latest"
before=$(bytes)
expect_exit 0 mlp data gc --remote origin --older-than 90d --dry-run
contains "$out" "would forget ${old:0:12}"
equals "$(bytes)" "$before"
whole "$old" || fail "a dry run removed a version"
expect_exit 0 mlp data gc --remote origin --older-than 90d --json
contains "$out" "$old"
for v in "$tagged" "$young" "$in_git" "$latest"; do
  lacks "$out" "$v"
  whole "$v" || fail "$v is gone: $(cat "$TEST_DIR/reader")"
done
whole "$old" && fail "the old version is still there"
[ "$(bytes)" -lt "$before" ] || fail "the remote is as large as before"
expect_exit 0 mlp data verify --remote origin
expect_exit 0 mlp data gc --remote origin --older-than 90d
contains "$out" "nothing to remove"
[ -z "$(ls "$TEST_DIR/store/refs/pushes" 2>/dev/null)" ] || fail "a push left its claim behind"
[ ! -e "$TEST_DIR/store/refs/gc" ] || fail "the collection left its claim behind"

# Pushing what was removed sends it again.
expect_exit 0 mlp data checkout "set@sha256:$old"
expect_exit 0 mlp data push
whole "$old" || fail "the version was not sent again"

# A push that was killed leaves objects that no version needs.
head -c 3000000 /dev/urandom >data/large
mlp data add >/dev/null
before=$(bytes)
"$MLP" data push >/dev/null 2>&1 &
push=$!
wait_until 10 sh -c "[ \$(du -sb '$TEST_DIR/store' | cut -f1) -gt $((before + 500000)) ]" || true
kill -9 "$push" 2>/dev/null || true
wait "$push" 2>/dev/null || true
# Its claim counts for an hour; this one is older.
for claim in "$TEST_DIR"/store/refs/pushes/*; do
  [ -e "$claim" ] || continue
  sed -i 's/"time":"[^"]*"/"time":"2020-01-01T00:00:00.000Z"/' "$claim"
done
expect_exit 0 mlp data gc --remote origin
whole "$old" || fail "$old is gone"
expect_exit 0 mlp data push
whole "$(digest)" || fail "the push after it is not whole"

# A claim that is not old is waited for, and named.
mkdir -p "$TEST_DIR/store/refs/pushes"
printf '{"host":"elsewhere","time":"2999-01-01T00:00:00.000Z"}\n' >"$TEST_DIR/store/refs/pushes/0123456789abcdef"
expect_exit 5 timeout 60 "$MLP" data gc --remote origin
contains "$err" "a push of host 'elsewhere'"
rm "$TEST_DIR/store/refs/pushes/0123456789abcdef"
[ ! -e "$TEST_DIR/store/refs/gc" ] || fail "the collection that gave way left its claim behind"
expect_exit 2 mlp data gc --older-than 90d
expect_exit 2 mlp data gc --remote origin --older-than soon
expect_exit 4 mlp data gc --remote nowhere

# Three projects push, one collects and kills itself now and then, all at once: whatever a push
# acknowledged is whole. Versions here are old as soon as they are not the latest of their dataset.
for p in 1 2 3; do
  (
    project "p$p" "set$p"
    cp -r ../a/data/. data # much that the others have too
    for n in 1 2 3 4 5 6; do
      rm -f "data/f$((n * 2))"
      head -c 20000 /dev/urandom >"data/new$n"
      mlp data add >/dev/null
      mlp data push >/dev/null
    done
  ) &
  pushers[p]=$!
done
(
  cd "$work/a"
  while [ ! -e "$TEST_DIR/done" ]; do
    timeout -s KILL "0.0$((RANDOM % 9 + 1))" "$MLP" data gc --remote origin --older-than 0s >/dev/null 2>&1 || true
    # What one that was killed left would be in the way for an hour.
    [ ! -e "$TEST_DIR/store/refs/gc" ] ||
      sed -i 's/"time":"[^"]*"/"time":"2020-01-01T00:00:00.000Z"/' "$TEST_DIR/store/refs/gc" 2>/dev/null || true
    "$MLP" data gc --remote origin --older-than 0s >/dev/null 2>&1 || true
  done
) &
collector=$!
for p in 1 2 3; do wait "${pushers[p]}" || fail "a push beside a collection failed"; done
touch "$TEST_DIR/done"
wait "$collector"
for p in 1 2 3; do
  rm -rf "$work/reader"
  mkdir "$work/reader"
  cp "$work/p$p/mlp.yaml" "$work/p$p/mlp.lock" "$work/reader"
  (cd "$work/reader" && mlp data pull >/dev/null) || fail "what project $p pushed is not whole"
  diff -r "$work/p$p/data" "$work/reader/data" >/dev/null || fail "project $p's files are others"
done
expect_exit 0 mlp data verify --remote origin
