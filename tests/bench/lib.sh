# Sourced by the benchmarks in shell: what they need, and how they take and show times. $MLP is the
# binary, $MLP_SOURCE the source tree.
# shellcheck shell=bash
set -euo pipefail
MLP=$(readlink -f "${MLP:?the binary}")
MLP_SOURCE=${MLP_SOURCE:-$(cd "$(dirname "$0")/../.." && pwd)}

# Remotes are what is measured, not the cache that would answer in their place.
export MLP_CACHE_LIMIT=0

skip() {
  echo "SKIP: $*"
  exit 77
}
# needs PROGRAM...: skips where one is not installed.
needs() {
  local program
  for program; do
    command -v "$program" >/dev/null || skip "$program is not installed"
  done
}

# seconds COMMAND...: how long it takes.
seconds() {
  local begin end
  begin=$(date +%s.%N)
  "$@" || return
  end=$(date +%s.%N)
  echo "$end - $begin" | bc
}
best() { sort -g | head -1; }
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# rates WHAT MIB PEER OURS THEIRS: the best of two files of seconds, as rates and their ratio.
rates() {
  awk -v what="$1" -v n="$2" -v peer="$3" -v a="$(best <"$4")" -v b="$(best <"$5")" 'BEGIN {
    printf "%-6s %d MiB: mlp %.2f s (%.0f MiB/s), %s %.2f s (%.0f MiB/s), ratio %.1f\n",
           what, n, a, n / a, peer, b, n / b, b / a }'
}
