#!/usr/bin/env bash
# Finding runs again: filters, orders, tags, notes; and what two or several of them have in common.
source "$(dirname "$0")/lib.sh"

git init -q p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  train:
    params: {lr: 0.1, optimizer: adam, code: 0}
    run: |
      echo "{\"step\": 1, \"acc\": ${params.lr}, \"n\": 3}" >> "$MLP_METRICS"
      exit ${params.code}
YAML
echo .mlp >.gitignore
git add -A && git commit -q -m one

expect_exit 0 mlp runs ls --where 'params.x = 1'
contains "$err" "no such run"
train() { mlp train -q "$@" >/dev/null 2>&1 || true; }
train --param lr=0.1
train --param lr=0.5 --param optimizer=sgd
git commit -q --allow-empty -m two
train --param lr=0.9 --param code=3
mapfile -t ids < <(mlp runs ls --sort created --json | jq -r '.runs[].run')
equals "${#ids[@]}" 3
found() { mlp runs ls --json "$@" | jq -r '[.runs[].params.lr] | join(" ")'; }

# Filters, and what is shown of them.
equals "$(found --where 'params.lr<0.6 and metrics.acc>0.2')" 0.5
equals "$(found -w 'state = failed or params.optimizer = sgd' --sort -params.lr)" "0.9 0.5"
equals "$(found -w 'not (params.lr >= 0.5)')" 0.1
equals "$(found -w 'task ~ rai and created > 1h ago and duration < 5min' --sort params.lr)" "0.1 0.5 0.9"
equals "$(found --sort -metrics.acc -n 2)" "0.9 0.5"
equals "$(found --state failed -w 'exit_code = 3')" 0.9
expect_exit 0 mlp runs ls --where 'params.lr > 0.2' --sort=-params.lr
contains "$out" "params.lr"

# A slip is shown with its place, or said where nothing is found.
expect_exit 2 mlp runs ls --where 'task = train and stat = failed'
contains "$err" "at character 18: no field 'stat'"
contains "$err" "                   ^"
contains "$err" "did you mean 'state'?"
expect_exit 2 mlp runs ls --sort creatd
contains "$err" "did you mean 'created'?"
expect_exit 2 mlp runs ls --json --where 'params.lr <'
equals "$out" ""
equals "$(jq -r .error.kind <<<"$err")" usage
expect_exit 0 mlp runs ls --where 'params.optimiser = adam'
contains "$err" "no run has 'params.optimiser': did you mean 'optimizer'?"
expect_exit 0 mlp runs ls --sort metrics.ac
contains "$err" "no run has 'metrics.ac': did you mean 'acc'?"
contains "$out" "${ids[0]}"

# Tags and notes: found, shown, taken away; the spec of the run stays as it was.
spec=$(sha256sum <".mlp/runs/${ids[0]}/spec.json")
expect_exit 0 mlp runs tag "${ids[0]}" keep "for the paper"
equals "$out" "${ids[0]}: for the paper, keep"
expect_exit 0 mlp runs tag "${ids[1]}" keep
lines=$(wc -l <".mlp/runs/${ids[1]}/events.jsonl")
expect_exit 0 mlp runs tag "${ids[1]}" keep
equals "$(wc -l <".mlp/runs/${ids[1]}/events.jsonl")" "$lines"
equals "$(found --where 'tags = keep and not tags ~ paper')" 0.5
expect_exit 0 mlp runs tag "${ids[1]}" --delete keep never-there
equals "$out" "${ids[1]}: no tags"
expect_exit 2 mlp runs tag latest 'a,b'
expect_exit 4 mlp runs tag no-such-run a
printf 'first line\nsecond\n' | mlp runs note "${ids[0]}" - 2>/dev/null
expect_exit 0 mlp runs show "${ids[0]}"
contains "$out" "note      first line
          second"
contains "$out" "tags      for the paper, keep"
expect_exit 0 mlp runs ls
contains "$out" "first line..."
equals "$(mlp runs ls -w 'note ~ second' --json | jq -r '.runs[].note')" "first line
second"
expect_exit 0 mlp runs note "${ids[0]}" ''
equals "$(found -w note)" ""
equals "$(sha256sum <".mlp/runs/${ids[0]}/spec.json")" "$spec"
head -c 70000 /dev/zero | tr '\0' x >big
expect_exit 2 mlp runs note latest - <big
contains "$(mlp __complete runs tag latest --delete '')" "keep"
contains "$(mlp __complete runs ls --sort pa)" "params.lr"

# The index is a cache: without it, everything is the same.
mlp runs ls --all --json >before
rm .mlp/index.db*
mlp runs ls --all --json >after
cmp before after || fail "the index made anew differs"

# Runs that come and go behind its back are seen, also when the folder was quiet for long enough to
# be trusted.
sleep 2.2
mlp runs ls >/dev/null
mv ".mlp/runs/${ids[1]}" away
lacks "$(mlp runs ls)" "${ids[1]}"
sleep 2.2
mlp runs ls >/dev/null
mv away ".mlp/runs/${ids[1]}"
contains "$(mlp runs ls)" "${ids[1]}"

# Two runs, and several.
expect_exit 0 mlp runs diff "${ids[0]}" "${ids[2]}"
for part in params.lr params.code metrics.acc result.exit_code code.commit; do
  contains "$out" "$part"
done
lacks "$out" "metrics.n"
contains "$err" "git diff $(git rev-parse HEAD~1 | cut -c1-12)"
equals "$(mlp runs diff "${ids[0]}" "${ids[1]}" --json | jq -c '[.differences[] | select(.group == "params") | [.name, .a, .b]]')" \
  '[["lr",0.1,0.5],["optimizer","adam","sgd"]]'
expect_exit 0 mlp runs diff latest latest
contains "$err" "do not differ"
expect_exit 4 mlp runs diff latest no-such-run
expect_exit 0 mlp runs compare "${ids[@]}" --csv
equals "$(head -2 <<<"$out")" "run,task,state,code,lr,optimizer,acc,n
${ids[0]},train,succeeded,0,0.1,adam,0.1,3"
expect_exit 0 mlp runs compare "${ids[1]}" "${ids[2]}" --md
contains "$out" "| ${ids[2]} | train | failed | 3 | 0.9 | adam | 0.9 | 3 |"
expect_exit 0 mlp runs compare "${ids[@]}"
contains "$out" "optimizer"
equals "$(mlp runs compare "${ids[@]}" --json | jq -c .params)" '["code","lr","optimizer"]'
expect_exit 2 mlp runs compare "${ids[@]}" --md --csv
