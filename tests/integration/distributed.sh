#!/usr/bin/env bash
# Real launchers and a real framework in a run of several processes: Open MPI takes the host file;
# PyTorch trains data-parallel over gloo, started by us or by its own torchrun, to the same losses
# as one process.
source "$(dirname "$0")/../functional/lib.sh"
command -v mpirun >/dev/null || skip "no mpirun (openmpi-bin)"
/usr/bin/python3 -c 'import torch' 2>/dev/null || skip "no PyTorch (python3-torch)"

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  mpi:
    num_nodes: 2
    procs_per_node: 2
    run_per: job
    run: mpirun --allow-run-as-root --bind-to none sh -c 'echo "$OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE in $MLP_RUN_ID"'
  one:
    run: /usr/bin/python3 train.py
  two:
    procs_per_node: 2
    run: /usr/bin/python3 train.py
  torchrun:
    procs_per_node: 2
    run_per: node
    # The two options: Debian's torchrun 1.13 fails on their defaults under Python 3.11.
    run: /usr/bin/python3 -m torch.distributed.run --redirects 0:1,1:1 --tee 0:1,1:1 train.py
YAML
cat >train.py <<'PY'
import json, os
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(0)
x = torch.randn(512, 16)
y = torch.sin(x.sum(1, keepdim=True))
model = DistributedDataParallel(
    torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(40):
    batch = slice(step % 8 * 64, step % 8 * 64 + 64)
    mine = slice(rank * 64 // world, (rank + 1) * 64 // world)
    loss = torch.nn.functional.mse_loss(model(x[batch][mine]), y[batch][mine])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    mean = loss.detach().clone()
    dist.all_reduce(mean)
    if rank == 0:
        with open(os.environ["MLP_METRICS"], "a") as file:
            file.write(json.dumps({"step": step, "loss": mean.item() / world}) + "\n")
PY
export OMP_NUM_THREADS=1

expect_exit 0 mlp train mpi
equals "$(mlp runs logs latest | cut -d' ' -f1-3 | sort | xargs)" "0 of 4 1 of 4 2 of 4 3 of 4"
contains "$(mlp runs logs latest)" "in $(ls .mlp/runs)"

losses() { jq -c 'select(.loss) | .loss' "$(ls -d .mlp/runs/"$1")/metrics.jsonl"; }
for task in one two torchrun; do
  run=$(mlp train -d "$task")
  expect_exit 0 mlp runs wait "$run"
  losses "$run" >"$task.txt"
  equals "$(wc -l <"$task.txt")" 40
done
for task in two torchrun; do
  paste one.txt "$task.txt" | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-5) bad = 1 } END { exit bad }' ||
    fail "the losses of '$task' are not those of one process: $(paste one.txt "$task.txt" | tail -3)"
done
first=$(head -1 one.txt) last=$(tail -1 one.txt)
awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a) }' || fail "it learned nothing: $first, $last"
paste one.txt two.txt torchrun.txt | sed -n '1p;$p'
