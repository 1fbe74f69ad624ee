#!/usr/bin/env bash
# A run of several processes on this machine: its ranks, launch variables, logs by rank, and the end
# of all of them when one fails.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  ranks:
    num_nodes: 2
    procs_per_node: 2
    run: |
      echo "$RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $GROUP_RANK $MASTER_ADDR"
      echo "$MASTER_PORT" > "$MLP_OUT_DIR/port.$RANK"
      echo "{\"rank_$RANK\": $RANK}" >> "$MLP_METRICS"
      printf 'a line without its end %s' "$RANK" >&2
  nodes:
    num_nodes: 2
    procs_per_node: 3
    run_per: node
    run: echo "$PET_NNODES $PET_NPROC_PER_NODE $PET_NODE_RANK $RANK"; echo "$TF_CONFIG"
  once:
    num_nodes: 2
    procs_per_node: 3
    run_per: job
    run: cat "$MLP_HOST_FILE"
  fails:
    procs_per_node: 3
    run: |
      trap 'echo "told to end $RANK" >&2; exit 3' TERM
      touch "$MLP_CHECKPOINT_DIR/ready.$RANK"
      if [ "$RANK" = 1 ]; then
        until [ -e "$MLP_CHECKPOINT_DIR/ready.0" ] && [ -e "$MLP_CHECKPOINT_DIR/ready.2" ]; do sleep 0.02; done
        echo "this is why" >&2
        exit 5
      fi
      sleep 300 & wait
  stubborn:
    procs_per_node: 2
    run: |
      trap '' TERM
      if [ "$RANK" = 0 ]; then exec sleep 300; fi
      kill -SEGV $$
  loud:
    procs_per_node: 4
    run: for i in $(seq 5000); do echo "line $i of $RANK, which is neither long nor short"; done
  waits:
    procs_per_node: 2
    run: echo here; sleep 300
  large:
    num_nodes: 100
    resources: {cpus: 1000}
    run: "true"
  many:
    num_nodes: 1000
    run: "true"
YAML

expect_exit 0 mlp train ranks
run=.mlp/runs/$(ls .mlp/runs)
equals "$(sort "$run/stdout.log")" "[rank 0] 0 4 0 2 0 127.0.0.1
[rank 1] 1 4 1 2 0 127.0.0.1
[rank 2] 2 4 0 2 1 127.0.0.1
[rank 3] 3 4 1 2 1 127.0.0.1"
equals "$(sort -u "$run"/outs/port.* | wc -l)" 1
equals "$(sort "$run/stderr.log" | tail -1)" "[rank 3] a line without its end 3"
equals "$(mlp runs logs latest --rank 2)" "2 4 0 2 1 127.0.0.1"
contains "$(mlp runs show latest --json)" '"rank_3": 3'

expect_exit 0 mlp train nodes
equals "$(mlp runs logs latest --rank 1 | head -1)" "2 3 1 3"
equals "$(mlp runs logs latest --rank 1 | tail -1 | jq '.task.index, (.cluster.worker | unique | length)' | xargs)" "3 6"
equals "$(mlp runs logs latest | wc -l)" 4

expect_exit 0 mlp train once
equals "$(mlp runs logs latest)" "127.0.0.1 slots=6"

# One rank fails: the others are told to end, and its own last words are shown.
expect_exit 10 mlp train fails
contains "$err" "rank 1 (of 3) ended with exit code 5"
contains "$err" "rank 1's last words"
contains "${err#*last words}" "this is why"
lacks "${err#*last words}" "told to end"
equals "$(mlp runs logs latest --stderr | grep -c 'told to end')" 2
equals "$(mlp runs show latest --json | jq -r '.exit_code')" 5

# ... and killed, if they do not care.
begin=$(date +%s)
expect_exit 10 mlp train stubborn
contains "$err" "rank 1 (of 2) was ended by SIGSEGV"
[ $(($(date +%s) - begin)) -lt 60 ] || fail "its ranks were not ended"

expect_exit 0 mlp train loud
for rank in 0 1 2 3; do
  equals "$(mlp runs logs latest --rank "$rank" | sha256sum)" \
    "$(for i in $(seq 5000); do echo "line $i of $rank, which is neither long nor short"; done | sha256sum)"
done

expect_exit 0 mlp run --procs-per-node 3 -- sh -c 'echo $RANK'
equals "$(mlp runs logs latest | sort | xargs)" "[rank 0] 0 [rank 1] 1 [rank 2] 2"
expect_exit 0 mlp run --num-nodes 2 --run-per node -- sh -c 'echo $GROUP_RANK'
equals "$(mlp runs logs latest | sort | xargs)" "[node 0] 0 [node 1] 1"

run=$(mlp train -d waits)
both_here() { [ "$(grep -c here ".mlp/runs/$run/stdout.log" 2>/dev/null)" = 2 ]; }
wait_until 20 both_here
expect_exit 0 mlp runs cancel "$run"
contains "$out" "cancelled"
equals "$(grep -lzs "MLP_RUN_ID=$run" /proc/[0-9]*/environ | wc -l)" 0

expect_exit 3 mlp train large
contains "$err" "100000 CPUs"
expect_exit 10 mlp train many
contains "$err" "at most 256"
expect_exit 3 mlp run --run-per host -- true
contains "$err" "run_per"
cat >mlp.yaml <<'YAML'
name: p
tasks: {t: {num_nodes: 2, trainer: {kind: classifier}}}
YAML
expect_exit 3 mlp train
contains "$err" "mlp.yaml:2:24"
contains "$err" "devices"
