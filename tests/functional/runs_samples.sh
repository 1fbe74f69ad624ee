#!/usr/bin/env bash
# What a run uses of the machine stands among its metrics, apart from the program's own; beside a fake
# driver library also of GPUs.
source "$(dirname "$0")/lib.sh"

cat >mlp.yaml <<'Y'
name: p
tasks:
  busy: {run: 'mlp_end=$(($(date +%s) + 3)); while [ "$(date +%s)" -lt $mlp_end ]; do :; done; echo "{\"loss\": 1}" >>"$MLP_METRICS"'}
  wait: {run: sleep 2.5}
Y
echo "gpu model=X uuid=GPU-aaaa memory=8000000 used=2000000 use=30 power=100000 power_limit=400000" >gpus.txt
echo "gpu model=X uuid=GPU-bbbb memory=8000000 used=1000000 use=3" >>gpus.txt

unset CUDA_VISIBLE_DEVICES
export MLP_SAMPLE_INTERVAL=500ms LD_LIBRARY_PATH=${MLP_FAKES:?} FAKE_NVML=$PWD/gpus.txt
expect_exit 0 mlp train busy
lacks "$out$err" "system/"
expect_exit 0 mlp runs show latest
contains "$out" "machine
  cpu_utilization_percentage"
contains "$out" "metrics
  loss  1"
expect_exit 0 mlp runs show latest --json
equals "$(jq -c '.metrics | [."system/gpu_0_utilization_percentage", ."system/gpu_0_memory_usage_percentage", ."system/gpu_0_power_usage_watts", ."system/gpu_1_memory_usage_megabytes"]' <<<"$out")" "[30,25,100,1]"
equals "$(jq -c '.metrics | [."system/disk_usage_percentage" <= 100, ."system/system_memory_usage_megabytes" > 0, .loss]' <<<"$out")" "[true,true,1]"
equals "$(jq -r .headline <<<"$out")" "loss 1"
folder=$(jq -r .folder <<<"$out")
# The loop took one CPU, of however many there are (and however busy they were).
jq -e -s --argjson cpus "$(nproc)" '[.[] | ."system/cpu_utilization_percentage" // empty] | length >= 3 and max * $cpus > 15' \
  "$folder/metrics.jsonl" >/dev/null || fail "$(cat "$folder/metrics.jsonl")"
# They are no difference between runs, and no column of a table.
other=$(mlp runs ls --json | jq -r '.runs[0].run')
expect_exit 0 mlp runs compare "$other"
lacks "$out" "cpu_utilization"

CUDA_VISIBLE_DEVICES=GPU-bb expect_exit 0 mlp train wait
expect_exit 0 mlp runs show latest
lacks "$out" "gpu_0"
contains "$out" "gpu_1_utilization_percentage  3"

MLP_SAMPLE_INTERVAL=0s expect_exit 0 mlp train wait
expect_exit 0 mlp runs show latest
lacks "$out" "machine"
MLP_SAMPLE_INTERVAL=often expect_exit 3 mlp config get runs.sample_interval
