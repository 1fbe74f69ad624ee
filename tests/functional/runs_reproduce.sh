#!/usr/bin/env bash
# A run is made again from its records alone: code from git and from what was kept, data, params.
# Outputs are taken into the object store, those of a run that failed too, and stay as long as the run.
source "$(dirname "$0")/lib.sh"
command -v git >/dev/null || skip "no git"

project() {
  cat >mlp.yaml <<'YAML'
name: p
datasets:
  nums: {path: data/nums}
tasks:
  sum:
    data: [nums]
    params: {k: 2}
    outs: [sum.txt]
    run: |
      . src/lib.sh
      total ${params.k} > "$MLP_OUT_DIR/sum.txt"
      cp src/lib.sh "$MLP_OUT_DIR/"
      echo "{\"sum\": $(cat "$MLP_OUT_DIR/sum.txt")}" >> "$MLP_METRICS"
      echo '{"params": {"own": 1}}' >> "$MLP_METRICS"
  drifts:
    run: date +%N > "$MLP_OUT_DIR/when"; echo same > "$MLP_OUT_DIR/constant"
  fails:
    run: mkdir "$MLP_OUT_DIR/half"; echo half > "$MLP_OUT_DIR/half/file"; exit 4
  quiet:
    run: echo nothing
YAML
  mkdir -p data/nums src
  seq 100 >data/nums/n.txt
  echo 'total() { awk -v k="$1" "{ s += \$1 * k } END { print s }" "$MLP_DATA_NUMS/n.txt"; }' >src/lib.sh
}
spec() { mlp runs show "$1" --json | jq -c "$2"; }

# Outside git all of the code is kept, but for data and state.
mkdir plain && cd plain && project
expect_exit 0 mlp train sum -p k=3 --json
first=$(jq -r .id <<<"$out")
digest=$(spec "$first" .outputs.digest)
equals "$(spec "$first" '[.outputs.files, .outputs.partial]')" "[2,false]"
echo 'total() { echo 0; }' >src/lib.sh
seq 7 >data/nums/n.txt
mlp data add nums >/dev/null 2>&1
expect_exit 0 mlp data gc
expect_exit 0 mlp runs reproduce "$first"
contains "$out" "made the same outputs as run $first (2 files"
equals "$(cat src/lib.sh)" 'total() { echo 0; }'
equals "$(cat data/nums/n.txt | wc -l)" 7
again=$(mlp runs ls --json | jq -r ".runs[].run" | grep -v "$first")
equals "$(spec "$again" .outputs.digest)" "$digest"
equals "$(spec "$again" .params.k)" 3
# What a program logged as its own params is not what the next one is asked for.
equals "$(spec "$first" .params.own)" 1
equals "$(jq -c . ".mlp/runs/$again/params.json")" '{"k":3}'
contains "$(mlp runs show "$again")" "repeats   $first"
for part in data mlp.lock mlp.yaml src; do [ -e ".mlp/runs/$again/code/$part" ] || fail "no $part"; done
[ ! -e ".mlp/runs/$again/code/.mlp" ] || fail "state is no code"
# Changed now, but not in the records: not the same run.
expect_exit 0 mlp train sum -p k=3 --json
[ "$(jq -r .outputs.digest <<<"$out")" != "$(jq -r . <<<"$digest")" ] || fail "the same outputs"
contains "$(mlp runs diff "$first" latest)" "snapshot"

# What differs is named.
expect_exit 0 mlp train drifts --json
expect_exit 8 mlp runs reproduce "$(jq -r .id <<<"$out")"
contains "$err" "modified  when"
lacks "$err" "constant"
expect_exit 8 mlp runs reproduce latest --json
[ -z "$out" ] || fail "stdout is not empty: $out"
expect_exit 0 mlp train quiet
expect_exit 0 mlp runs reproduce latest
contains "$out" "neither left outputs"

# A run that failed: partial outputs, and it fails again.
expect_exit 10 mlp train fails
equals "$(spec latest '[.outputs.files, .outputs.partial]')" "[1,true]"
expect_exit 0 mlp runs reproduce latest
contains "$out" "the same outputs"
mlp runs show latest | grep -q "partial" || fail "not said to be partial"

# They stay as long as a run needs them.
before=$(mlp data gc --dry-run --json | jq .removed_objects)
for run in .mlp/runs/*; do mlp runs rm "${run##*/}" >/dev/null; done
after=$(mlp data gc --dry-run --json | jq .removed_objects)
[ "$after" -gt "$before" ] || fail "gc keeps what no run needs: $before, $after"

# More code than there is room for.
head -c 3000 /dev/urandom >src/large.bin
MLP_CODE_LIMIT=1KiB expect_exit 0 mlp train sum
contains "$err" "runs.code_limit"
expect_exit 4 mlp runs reproduce latest
contains "$err" "no record of its code"
equals "$(ls .mlp/runs | wc -l)" 1
MLP_CODE_LIMIT=0 expect_exit 0 mlp train sum
lacks "$err" "code_limit"
cd ..

# In git, in a folder of a repository: the commit, and what differs from it.
mkdir -p repo/deep && cd repo
git init -q
cd deep && project
printf '.mlp/\ndata/\n' >.gitignore
echo shared >../other.txt
echo gone >gone.txt
mlp data add nums 2>/dev/null >/dev/null
git add -A .. && git commit -qm one
expect_exit 0 mlp train sum --json
clean=$(jq -r .id <<<"$out")
equals "$(spec "$clean" '[.source.dirty, .source.snapshot, .source.folder]')" '[false,null,"deep"]'
sed -i 's/s += /s += 1 + /' src/lib.sh
mkdir new && echo new >'new/file with spaces'
ln -s ../src/lib.sh new/link
rm gone.txt
echo ignored >data/more
expect_exit 0 mlp train sum --json
dirty=$(jq -r .id <<<"$out")
equals "$(spec "$dirty" '.source.removed')" '["deep/gone.txt"]'
git add -A && git commit -qm two
sed -i 's/s += /s -= /' src/lib.sh
for run in "$clean" "$dirty"; do
  expect_exit 0 mlp runs reproduce "$run" --json
  equals "$(jq -c '[.reproduces, .same_outputs]' <<<"$out")" "[\"$run\",true]"
done
code=.mlp/runs/$(jq -r .run <<<"$out")/code
equals "$(cat "$code/deep/new/file with spaces" "$code/other.txt" | xargs)" "new shared"
equals "$(readlink "$code/deep/new/link")" "../src/lib.sh"
[ ! -e "$code/deep/gone.txt" ] || fail "a removed file came back"
[ -e "$code/../code/deep/data/nums/n.txt" ] || fail "no data"
equals "$(git status --short | xargs)" "M src/lib.sh"

# In a clone: data that mlp.lock pins is pulled for a run, and a run from elsewhere finds its version.
mkdir "$TEST_DIR/store"
mlp remote add origin "file://$TEST_DIR/store" >/dev/null 2>&1
seq 9 >data/nums/n.txt
mlp data add nums >/dev/null 2>&1 && mlp data push >/dev/null 2>&1
git add -A && git commit -qm three
expect_exit 0 mlp train sum --json
old=$(jq -r .id <<<"$out")
seq 5 >data/nums/n.txt
mlp data add nums >/dev/null 2>&1 && mlp data push >/dev/null 2>&1
git commit -qam four
git clone -q "$TEST_DIR/work/repo" "$TEST_DIR/clone"
expect_exit 0 mlp -C "$TEST_DIR/clone/deep" train sum
contains "$err" "pulled dataset 'nums'"
equals "$(wc -l <"$TEST_DIR/clone/deep/data/nums/n.txt")" 5
expect_exit 0 mlp -C "$TEST_DIR/clone/deep" runs import "$PWD/.mlp/runs/$old"
expect_exit 0 mlp -C "$TEST_DIR/clone/deep" runs reproduce "$old"
contains "$out" "the same outputs"
rm -rf "$TEST_DIR/clone/deep/.mlp/objects" "$TEST_DIR/store"
expect_exit 4 mlp -C "$TEST_DIR/clone/deep" runs reproduce "$old"
equals "$(ls "$TEST_DIR/clone/deep/.mlp/runs" | wc -l)" 3

# Nothing is written behind a link of the code: data that is one becomes a folder of its own.
mkdir "$TEST_DIR/elsewhere" && seq 3 >"$TEST_DIR/elsewhere/n.txt"
rm -rf data/nums && ln -s "$TEST_DIR/elsewhere" data/nums
git add -f data/nums && mlp data add nums >/dev/null 2>&1 && git add -A && git commit -qm five
expect_exit 0 mlp train sum --json
linked=$(jq -r .id <<<"$out")
seq 4 >"$TEST_DIR/elsewhere/n.txt"
expect_exit 0 mlp runs reproduce "$linked" --json
equals "$(wc -l <"$TEST_DIR/elsewhere/n.txt")" 4
equals "$(wc -l <".mlp/runs/$(jq -r .run <<<"$out")/code/deep/data/nums/n.txt")" 3

# A part of the changes is no record of them.
rm gone.txt 2>/dev/null || true
git rm -q --cached new/link && rm new/link && head -c 3000 /dev/urandom >src/large.bin
MLP_CODE_LIMIT=1KiB expect_exit 0 mlp train sum
expect_exit 4 mlp runs reproduce latest
rm src/large.bin

# A record that was tampered with writes nothing outside; one whose commit is gone says so.
edit_spec() { jq "$2" ".mlp/runs/$1/spec.json" >spec.tmp && mv spec.tmp ".mlp/runs/$1/spec.json"; }
cp -r ".mlp/runs/$dirty" kept
edit_spec "$dirty" '.source.removed = ["../../../../../deep/mlp.yaml"]'
expect_exit 8 mlp runs reproduce "$dirty"
edit_spec "$dirty" '.source.removed = [] | .datasets[0].path = "../../x"'
expect_exit 8 mlp runs reproduce "$dirty"
edit_spec "$dirty" '.datasets[0].path = "data/nums" | .source.commit = "0123456789012345678901234567890123456789"'
expect_exit 4 mlp runs reproduce "$dirty"
contains "$err" "git fetch"
[ -e mlp.yaml ] || fail "a file outside went"

# The built-in trainer makes the same model.
cd "$TEST_DIR/work"
mlp init iris --template tabular-classifier >/dev/null 2>&1
cd iris
expect_exit 0 mlp train -p epochs=3
rm -rf .git
expect_exit 0 mlp runs reproduce latest
contains "$out" "made the same outputs"
