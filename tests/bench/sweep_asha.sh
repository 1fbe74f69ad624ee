#!/usr/bin/env bash
# ASHA against full runs: the same points of the same seed on Fashion-MNIST with the built-in
# trainer; how many epochs each takes, and the best accuracy that each finds. TRIALS and SEEDS set
# how much.
source "$(dirname "$0")/lib.sh"
needs python3
data=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
[ -d "$data" ] || skip "no Fashion-MNIST at $data"
trials=${TRIALS:-16}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-asha-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export HOME=$dir/home MLP_HOST_QUEUE=$dir/queue
mkdir -p "$HOME" "$dir/p"
cd "$dir/p"
cp -r "$data" data

# project SEED
project() {
  cat <<YAML
name: p
datasets:
  images: {path: data}
tasks:
  train:
    data: [images]
    params: {lr: 0.001, units: 128, dropout: 0, decay: 0.01}
    trainer:
      kind: classifier
      network: {hidden: ["\${params.units}"], dropout: "\${params.dropout}"}
      optimizer: {name: adamw, lr: "\${params.lr}", weight_decay: "\${params.decay}"}
      epochs: 9
      early_stopping: {patience: 0}
      seed: 1
sweeps:
  full:
    task: train
    searcher: {name: random, metric: val_accuracy, mode: max, max_trials: $trials, seed: $1}
    parameters: &space
      lr: {type: log, minval: -5, maxval: -0.5}
      units: {type: int, minval: 8, maxval: 256, log: true}
      dropout: {type: double, minval: 0, maxval: 0.6}
      decay: {type: log, minval: -4, maxval: 0}
  asha:
    task: train
    searcher: {name: asha, metric: val_accuracy, mode: max, max_trials: $trials, seed: $1, max_time: 9, divisor: 3}
    parameters: *space
YAML
}

# sweep NAME: its epochs, seconds, best accuracy and how many trials it stopped
sweep() {
  local begin end
  begin=$(date +%s.%N)
  "$MLP" -q sweep run "$1" --no-register --json >"$dir/$1.json"
  end=$(date +%s.%N)
  python3 - "$dir/$1.json" "$begin" "$end" <<'PY'
import json, pathlib, sys
sweep = json.load(open(sys.argv[1]))
runs = pathlib.Path(".mlp/runs")
epochs = sum(sum("learning_rate" in line for line in open(runs / t["run"] / "metrics.jsonl"))
             for t in sweep["trials"])
best = max(t["value"] for t in sweep["trials"] if t["state"] == "finished")
stopped = sum(t["state"] == "stopped" for t in sweep["trials"])
print(epochs, f"{float(sys.argv[3]) - float(sys.argv[2]):.1f}", f"{best:.4f}", stopped)
PY
}

for seed in ${SEEDS:-1 2 3}; do
  project "$seed" >mlp.yaml
  read -r full_epochs full_time full_best _ < <(sweep full)
  read -r epochs time best stopped < <(sweep asha)
  awk -v s="$seed" -v n="$trials" -v a="$full_epochs" -v b="$epochs" -v t="$full_time" -v u="$time" \
    -v p="$full_best" -v q="$best" -v k="$stopped" 'BEGIN {
      printf "seed %d, %d trials: full %d epochs, %.0f s, best %.4f; ASHA %d epochs, %.0f s, best %.4f, " \
             "%d stopped; %.0f %% of the epochs saved\n", s, n, a, t, p, b, u, q, k, 100 * (1 - b / a) }'
done
