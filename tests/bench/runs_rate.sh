#!/usr/bin/env bash
# What a run costs over the program alone: the time to its first line, many short runs through the
# queue of the machine, and what a supervisor keeps resident. RUNS sets how many.
source "$(dirname "$0")/lib.sh"
runs=${RUNS:-1000}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-runs-bench.XXXXXX")
trap 'rm -rf "$dir"' EXIT
export HOME=$dir/home MLP_HOST_QUEUE=$dir/queue
mkdir -p "$HOME" "$dir/p"
cd "$dir/p"
cat >mlp.yaml <<'YAML'
name: p
tasks:
  line: {run: 'date +%s%N > "$MLP_OUT_DIR/line"'}
  one: {resources: {cpus: 1}, run: "true"}
  sleep: {run: sleep 3}
YAML

for _ in $(seq 20); do
  begin=$(date +%s%N)
  sh -c "date +%s%N >$dir/alone"
  echo $((($(cat "$dir/alone") - begin) / 1000)) >>"$dir/direct"
  begin=$(date +%s%N)
  run=$("$MLP" -q train line --json | sed -n 's/.*"run": "\(.*\)",*$/\1/p' | head -1)
  echo $((($(cat ".mlp/runs/$run/outs/line") - begin) / 1000)) >>"$dir/run"
done
echo "first line: program alone $(median <"$dir/direct") us, as a run $(median <"$dir/run") us (medians of 20)"

run=$("$MLP" train -d sleep)
sleep 1
supervisor=$(sed -n 's/.*"supervisor":{.*"pid":\([0-9]*\).*/\1/p' ".mlp/runs/$run/events.jsonl" | tail -1)
awk '/VmRSS|RssAnon/ { printf "supervisor %s %d KiB\n", $1, $2 }' "/proc/$supervisor/status"

begin=$(date +%s.%N)
for _ in $(seq "$runs"); do "$MLP" train -d one >/dev/null; done
made=$(date +%s.%N)
(cd .mlp/runs && printf '%s\n' *) | xargs -n 500 "$MLP" runs wait >/dev/null
end=$(date +%s.%N)
awk -v n="$runs" -v a="$begin" -v b="$made" -v c="$end" 'BEGIN {
  printf "%d queued runs: handed over at %.0f/s, all done at %.0f/s\n", n, n / (b - a), n / (c - a) }'
