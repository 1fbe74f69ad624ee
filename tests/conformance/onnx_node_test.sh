#!/bin/sh
# Finds ONNX's backend tests and runs the native runtime on them:
#   onnx_node_test.sh PROGRAM ROOT [OPTION...]
# Places: $MLP_ONNX_TESTS (a folder), Debian's libonnx-testdata, a tar file in the shared folder
# beside the repository. Every place that exists is used; exit 77 (skipped) if there is none.
set -eu
program=$1
root=$2
shift 2
options=$*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
set --
[ -z "${MLP_ONNX_TESTS:-}" ] || set -- "$@" "$MLP_ONNX_TESTS"
debian=/usr/share/libonnx-testdata/data/node
[ ! -d "$debian" ] || set -- "$@" "$debian"
archive=$root/../shared/data/onnx-backend-tests/node.tar.gz
if [ -f "$archive" ]; then
  tar -xzf "$archive" -C "$work"
  set -- "$@" "$work"
fi
if [ $# = 0 ]; then
  echo "skipped: no ONNX tests; install libonnx-testdata or set MLP_ONNX_TESTS"
  exit 77
fi
"$program" -v $options "$@"
