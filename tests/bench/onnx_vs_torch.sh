#!/bin/sh
# The native runtime against eager PyTorch, see onnx_vs_torch.py.
#   onnx_vs_torch.sh ONNX_INFER [OPTIONS...]
# Debian's python3-torch uses whatever libblas.so.3 is chosen: see train_vs_torch.sh.
set -eu
python=${MLP_BENCH_PYTHON:-/usr/bin/python3}
if ! "$python" -c 'import torch' 2>/dev/null; then
  echo "skipped: $python has no torch (Debian package python3-torch)" >&2
  exit 77
fi
LD_LIBRARY_PATH=${MLP_BENCH_BLAS:-}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
  exec "$python" "$(dirname "$0")/onnx_vs_torch.py" "$@"
