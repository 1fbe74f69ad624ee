#!/usr/bin/env bash
# What .mlpignore leaves out, and what datasets weigh; a dataset that is forgotten.
source "$(dirname "$0")/lib.sh"

mkdir -p data/cache data/raw/deep
printf 'name: t\n' >mlp.yaml
for file in data/a.csv data/b.tmp data/cache/x data/raw/1.log data/raw/keep.log data/raw/deep/2.log; do
  echo "$file" >"$file"
done
printf '# left out\n*.tmp\ncache/\nraw/**/*.log\n!keep.log\n' >data/.mlpignore
mlp data add set data >/dev/null
expect_exit 0 mlp data ls set --json
equals "$(jq -r 'select(.type != "directory").path' <<<"$out" | tr '\n' ' ')" \
  ".mlpignore a.csv raw/keep.log "
expect_exit 0 mlp data status
contains "$out" "unchanged"
echo more >data/cache/y
expect_exit 0 mlp data status
contains "$out" "unchanged"
# A checkout neither removes nor overwrites what is left out.
echo changed >data/a.csv
mlp data checkout set --force >/dev/null
equals "$(cat data/a.csv)" data/a.csv
equals "$(cat data/cache/y)" more
# What is left out from now on is gone from the next version, and stays on the disk.
mlp data tag set before >/dev/null
echo a.csv >>data/.mlpignore
mlp data add >/dev/null
expect_exit 0 mlp data diff set@before
contains "$out" "removed   a.csv"
[ -f data/a.csv ] || fail "an ignored file is gone"
head -c 1100000 /dev/zero | tr '\0' 'x' >data/raw/.mlpignore
expect_exit 1 mlp data add
contains "$err" "larger than 1 MiB"
rm data/raw/.mlpignore

head -c 500000 /dev/urandom >data/noise
mlp data add >/dev/null
mlp data tag set one >/dev/null
cp data/noise data/copy
mlp data add >/dev/null
expect_exit 0 mlp data du set@one set --json
equals "$(jq '.datasets[1].bytes - .datasets[0].bytes' <<<"$out")" 500000
[ "$(jq '.datasets[1].stored_bytes - .datasets[1].shared_bytes' <<<"$out")" -lt 5000 ] ||
  fail "a copy takes room: $out"
[ "$(jq '.store_bytes' <<<"$out")" -gt 500000 ] || fail "no packs: $out"
expect_exit 4 mlp data du set@nope

expect_exit 0 mlp data rm set
[ -f data/a.csv ] || fail "the files are gone"
expect_exit 4 mlp data status set
expect_exit 4 mlp data rm set
mlp data add set data >/dev/null
expect_exit 0 mlp data checkout set@one
cat >>mlp.yaml <<'YAML'
tasks:
  t: {data: [set], run: "true"}
YAML
expect_exit 3 mlp data rm set
contains "$(cat mlp.lock)" "set:"
