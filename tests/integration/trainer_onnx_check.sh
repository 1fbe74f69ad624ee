#!/usr/bin/env bash
# ONNX's own checker accepts every kind of model that the trainer exports.
set -euo pipefail
tools=$MLP_BUILD/tests/integration
if [[ ! -x $tools/onnx_check ]]; then
  echo "skipped: built without libonnx (install libonnx-dev)"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$tools/export_models" "$work"
models=("$work"/*.onnx)
if [[ ${#models[@]} -lt 16 ]]; then
  echo "only ${#models[@]} models were exported"
  exit 1
fi
"$tools/onnx_check" "${models[@]}"
