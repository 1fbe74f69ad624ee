#!/usr/bin/env bash
# The main job on a template's real data: train, look at the run, find the model.
source "$(dirname "$0")/lib.sh"

mlp init digits --template image-classifier 2>/dev/null >/dev/null
cd digits
git init -q && git add -A && git commit -q -m start

expect_exit 0 mlp train --dry-run
contains "$out" "would run task 'train'"
[ -z "$(ls .mlp/runs 2>/dev/null)" ] || fail "--dry-run made a run"

expect_exit 0 mlp train -p epochs=15 --name "first try"
contains "$err" "added dataset 'digits'"
contains "$out" "succeeded"
contains "$out" "test_accuracy"
contains "$out" "model digits@1"

expect_exit 0 mlp runs show latest --json
python=$(command -v python3) || skip "no python3 to read JSON"
check() { printf '%s' "$out" | "$python" -c "import json,sys; r=json.load(sys.stdin); assert $1, $1"; }
check 'r["state"] == "succeeded" and r["exit_code"] == 0'
check 'r["metrics"]["test_accuracy"] >= 0.95'
check 'r["params"]["epochs"] == 15 and r["name"] == "first try"'
check 'r["datasets"][0]["digest"].startswith("sha256:") and r["datasets"][0]["bytes"] > 1000'
check 'len(r["source"]["commit"]) == 40'
check 'r["models"] == ["digits@1"]'
check '[s["state"] for s in r["states"]] == ["pending", "queued", "starting", "running", "succeeded"]'
# The digest on record is the one that git tracks.
digest=$(printf '%s' "$out" | "$python" -c 'import json,sys; print(json.load(sys.stdin)["datasets"][0]["digest"])')
contains "$(cat mlp.lock)" "$digest"

expect_exit 0 mlp runs logs latest
contains "$out" "epoch 1/15"
run=$(basename .mlp/runs/2*)
[ "$(wc -l <".mlp/runs/$run/metrics.jsonl")" -ge 15 ] || fail "metrics are missing"

expect_exit 0 mlp model show digits --json
check 'r["model"] == "digits@1" and r["lineage"]["run"] == "'"$run"'"'
check 'r["classes"] == [str(n) for n in range(10)]'
check 'r["signature"]["inputs"][0]["datatype"] == "UINT8"'
check 'r["metrics"]["test_accuracy"] >= 0.95'

# A second run of unchanged data adds nothing, and is version 2.
expect_exit 0 mlp train -p epochs=2
lacks "$err" "added dataset"
contains "$out" "model digits@2"
expect_exit 0 mlp runs ls
[ "$(printf '%s\n' "$out" | grep -c succeeded)" = 2 ] || fail "two runs expected: $out"
expect_exit 0 mlp train -p epochs=1 --no-register
lacks "$out" "model "

# The same seed on the same machine gives the same bits.
expect_exit 0 mlp train -p epochs=2
a=$(mlp model show digits@2 --json | grep '"digest": "sha256' | head -1)
b=$(mlp model show digits@3 --json | grep '"digest": "sha256' | head -1)
equals "$a" "$b"

# Mistakes are named, with a way out.
expect_exit 4 mlp train trian
contains "$err" "did you mean 'train'"
expect_exit 2 mlp train -p epoch=3
contains "$err" "epochs"
expect_exit 2 mlp train -p epochs
expect_exit 4 mlp runs show nothing-like-it
