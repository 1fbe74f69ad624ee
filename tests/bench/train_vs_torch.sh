#!/bin/sh
# Samples/s of the built-in trainer and of eager PyTorch on Fashion-MNIST: the same network, batch,
# optimiser, schedule and threads, taking turns in one run, the best epoch of each. Prints one JSON
# line and fails below MLP_BENCH_RATIO (default 1.5).
#   train_vs_torch.sh TRAIN_BENCH [ROUNDS [OPTIONS OF BOTH...]]
# e.g. `train_vs_torch.sh train_bench 2 --conv 16x5,32x5 --widths 128` for convolutions.
# Debian's python3-torch computes with whatever libblas.so.3 is chosen; with the reference BLAS it
# is some twenty times slower than with OpenBLAS. For the hard comparison install
# libopenblas0-openmp, or name a folder that has its libblas.so.3 in MLP_BENCH_BLAS.
set -eu
bench=$1
rounds=${2:-3}
if [ $# -gt 2 ]; then shift 2; else set --; fi
folder=${MLP_BENCH_DATA:-/usr/share/datasets/fashion-mnist}
python=${MLP_BENCH_PYTHON:-/usr/bin/python3}
here=$(dirname "$0")
if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "skipped: $python has no torch (Debian package python3-torch)" >&2
  exit 77
fi
if [ ! -d "$folder" ]; then
  echo "skipped: no '$folder' (Debian package dataset-fashion-mnist)" >&2
  exit 77
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for _ in $(seq "$rounds"); do
  "$bench" "$folder" --epochs "${MLP_BENCH_EPOCHS:-3}" --threads 2 "$@" >>"$out"
  LD_LIBRARY_PATH=${MLP_BENCH_BLAS:-}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
    "$python" "$here/train_torch.py" "$folder" --epochs "${MLP_BENCH_TORCH_EPOCHS:-1}" --threads 2 "$@" >>"$out"
done
"$python" - "$out" "${MLP_BENCH_RATIO:-1.5}" "${*:-784-256-128-10}" <<'END'
import json
import sys

results = [json.loads(line) for line in open(sys.argv[1])]
ours = max((r for r in results if r["framework"] == "mlp"), key=lambda r: r["samples_per_s"])
theirs = max((r for r in results if r["framework"] != "mlp"), key=lambda r: r["samples_per_s"])
ratio = ours["samples_per_s"] / theirs["samples_per_s"]
print(json.dumps({"benchmark": "train_vs_torch", "network": sys.argv[3], "batch": 128,
                  "mlp": ours, "torch": theirs, "ratio": round(ratio, 2)}))
sys.exit(ratio < float(sys.argv[2]))
END
