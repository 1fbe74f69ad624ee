#!/usr/bin/env bash
# `mlp data gc` keeps what mlp.lock, git refs, tags, runs and models need; kill -9 at any moment and
# commands beside it lose nothing.
source "$(dirname "$0")/lib.sh"

mkdir -p data
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: file:store\ntasks:\n  look:\n    run: ls data\n    data: [set]\n' >mlp.yaml
# version N: 60 files of noise, the first N*10 of them its own
version() {
  local i
  for i in $(seq $((($1 - 1) * 10)) $(($1 * 10 + 9))); do head -c 20000 /dev/urandom >"data/f$i"; done
  mlp data add >/dev/null
}
digest() { sed -n 's/.*digest: sha256://p' mlp.lock; }
here() { mlp data ls "set@sha256:$1" >/dev/null 2>&1; }

expect_exit 0 mlp data gc # no store yet
contains "$out" "nothing to remove"

git init -q .
version 1 && in_git=$(digest)
git add mlp.lock && git commit -qm one
git branch kept
version 2 && tagged=$(digest)
mlp data tag set v2 >/dev/null
version 3 && in_run=$(digest)
run=$(mlp train look --json 2>/dev/null | sed -n 's/.*"run": "\(.*\)".*/\1/p' | head -1)
[ -n "$run" ] || run=$(ls .mlp/runs)
version 4 && nobody=$(digest)
version 5 && nobody_else=$(digest)
version 6 && pinned=$(digest)
git add mlp.lock && git commit -qm two
mkdir net && head -c 50000 /dev/urandom >net/weights
mlp model register net net >/dev/null
model_is_whole() {
  rm -rf out
  expect_exit 0 mlp model export net@1 out
  diff -r net out || fail "the model's files differ"
}

expect_exit 0 mlp data gc --dry-run
contains "$out" "would remove"
here "$nobody" || fail "a dry run removed a version"
expect_exit 0 mlp data gc
contains "$out" "1 tag"
contains "$out" "1 run"
contains "$out" "1 model version"
for kept in "$in_git" "$tagged" "$in_run" "$pinned"; do
  here "$kept" || fail "version $kept has gone"
done
here "$nobody" && fail "version $nobody is still there"
here "$nobody_else" && fail "version $nobody_else is still there"
model_is_whole
contains "$(mlp data log set)" "${tagged:0:12}"
case $(mlp data log set) in *"${nobody:0:12}"*) fail "log lists what has gone" ;; esac
expect_exit 0 mlp data verify
expect_exit 0 mlp data status
contains "$out" "unchanged"

# Each root that goes takes its version with it.
git branch -qD kept && git checkout -q --orphan other && git commit -qm again && git branch -qD main 2>/dev/null ||
  git branch -qD master
mlp runs rm "$run" >/dev/null
mlp data tag set v2 --delete >/dev/null
expect_exit 0 mlp data gc
for gone in "$in_git" "$tagged" "$in_run"; do
  here "$gone" && fail "version $gone is still there"
done
here "$pinned" || fail "the version in use has gone"
model_is_whole

# What cannot be read stops it.
printf 'version: 9\n' >mlp.lock
git add mlp.lock && git commit -qm newer && git branch newer && git checkout -q HEAD~1 -- mlp.lock &&
  git commit -qm back
expect_exit 3 mlp data gc
contains "$err" "newer"
git branch -qD newer
git reset -q --hard HEAD~2
expect_exit 0 mlp data gc
mkdir -p .mlp/runs/20200101-000000-aaaaaa
echo '{' >.mlp/runs/20200101-000000-aaaaaa/spec.json
expect_exit 3 mlp data gc
contains "$err" "mlp runs rm"
rm -r .mlp/runs/20200101-000000-aaaaaa

# Killed at any moment.
for round in $(seq 8); do
  version $((round % 5 + 1))
  version $((round % 4 + 1))
  "$MLP" data gc >/dev/null 2>&1 &
  victim=$!
  sleep "0.0$((RANDOM % 4))$((RANDOM % 10))"
  kill -9 $victim 2>/dev/null || true
  wait $victim 2>/dev/null || true
  expect_exit 0 mlp data verify
  expect_exit 0 mlp data status
  contains "$out" "unchanged"
done
expect_exit 0 mlp data gc
equals "$(find .mlp/objects/tmp -type f | wc -l)" 0

# Beside commands that add, push and read.
for round in $(seq 20); do mlp data gc >/dev/null 2>&1 || true; done &
collector=$!
for round in $(seq 6); do
  version $((round % 5 + 1))
  expect_exit 0 mlp data push
  expect_exit 0 mlp data status
  contains "$out" "unchanged"
done
wait $collector
expect_exit 0 mlp data verify
expect_exit 0 mlp data verify --remote origin

# Whatever git keeps a commit by keeps its version: a tag, a branch of a remote, the stash.
mkdir ../refs && cd ../refs
mkdir data
printf 'name: t\ndatasets:\n  set: {path: data}\n' >mlp.yaml
git init -q .
version 1
git add mlp.lock mlp.yaml && git commit -qm base
# aside: a version of its own in a commit that no branch here has; $aside is its digest
aside() {
  version 1
  aside=$(digest)
  git commit -qam aside
}
aside && in_tag=$aside
git tag -a -m released v1 && git reset -q --hard HEAD~1
aside && in_light_tag=$aside
git tag v2 && git reset -q --hard HEAD~1
aside && in_remote=$aside
git update-ref refs/remotes/origin/theirs HEAD && git reset -q --hard HEAD~1
version 1 && in_stash=$(digest)
git stash -q
aside && in_note=$aside # a ref of another kind
git update-ref refs/pull/7/head HEAD && git reset -q --hard HEAD~1
aside && in_nothing=$aside
git reset -q --hard HEAD~1
expect_exit 0 mlp data gc
for kept in "$in_tag" "$in_light_tag" "$in_remote" "$in_stash" "$in_note" "$(digest)"; do
  here "$kept" || fail "version $kept, which a ref of git has, is gone"
  expect_exit 0 mlp data checkout "set@sha256:$kept" --force
  git checkout -q -- mlp.lock
done
here "$in_nothing" && fail "version $in_nothing is still there"
git tag -d v1 >/dev/null
expect_exit 0 mlp data gc
here "$in_tag" && fail "the version of the tag that is gone is still there"
here "$in_light_tag" || fail "the other tag's version is gone"
git tag -d v2 >/dev/null && git update-ref -d refs/remotes/origin/theirs
git stash drop -q && git update-ref -d refs/pull/7/head
expect_exit 0 mlp data gc
for gone in "$in_light_tag" "$in_remote" "$in_stash" "$in_note"; do
  here "$gone" && fail "version $gone is still there"
done
here "$(digest)" || fail "the version in use has gone"
