#!/usr/bin/env bash
# kernels/ configures and builds without the rest of the project, and its check program passes on the
# CPU. With nvcc it is configured for CUDA too; its GPU code is compiled in the project's own build.
set -euo pipefail
export LC_ALL=C
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

fail() {
  echo "FAIL: $*" >&2
  exit 1
}

# configure BUILD OPTION...: leaves what CMake says in BUILD.log.
configure() {
  local build=$1
  shift
  "${CMAKE:?}" -S "${MLP_SOURCE:?}/kernels" -B "$build" "$@" >"$build.log" 2>&1 ||
    fail "kernels/ does not configure with $*: $(tail -20 "$build.log")"
}

launcher=()
case ${LAUNCHER:-} in */ccache) launcher=("-DCMAKE_CXX_COMPILER_LAUNCHER=$LAUNCHER") ;; esac

configure "$folder/cpu" -DMLP_CUDA=OFF -DCMAKE_BUILD_TYPE=Release "${launcher[@]}"
grep -q 'CUDA device: OFF' "$folder/cpu.log" || fail "$(cat "$folder/cpu.log")"
"$CMAKE" --build "$folder/cpu" --parallel 2 >"$folder/build.log" 2>&1 ||
  fail "kernels/ does not build alone: $(tail -40 "$folder/build.log")"
"$folder/cpu/kernels_check" cpu
for program in kernels_bench ring_bench; do
  [ -x "$folder/cpu/$program" ] || fail "no $program"
done
code=0
"$folder/cpu/kernels_check" cuda >"$folder/cuda.out" 2>&1 || code=$?
[ "$code" = 77 ] || fail "without CUDA, 'kernels_check cuda' ends with $code, not 77"
grep -q 'no CUDA device: mlp was built without CUDA' "$folder/cuda.out" ||
  fail "$(cat "$folder/cuda.out")"

if [ -n "${NVCC:-}" ]; then
  configure "$folder/cuda" -DMLP_CUDA=ON "-DCMAKE_CUDA_COMPILER=$NVCC"
  grep -q 'CUDA device: ON' "$folder/cuda.log" || fail "$(cat "$folder/cuda.log")"
fi
