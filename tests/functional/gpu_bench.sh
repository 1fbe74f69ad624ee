#!/usr/bin/env bash
# dev/gpu-bench on a machine with a GPU, as its script sees it: programs that answer as ours would
# there, unpacked from an archive. What is run, what is read from it, and the report.
source "$(dirname "$0")/lib.sh"

unset CUDA_VISIBLE_DEVICES LD_LIBRARY_PATH
mkdir -p programs/bin tools images
ln -s "$(command -v jq)" programs/bin/jq
cat >programs/bin/mlp <<END
#!/bin/sh
case "\$*" in
  "gpu ls"*) echo '{"gpus": [{"index": 0, "model": "H200"}], "driver": "580.1", "cuda": "13.0"}' ;;
  "gpu check"*) echo '{"verdict": "pass", "links": [], "gpus": [{"index": 0, "figures": [
    {"figure": "copy", "value": 4.3e12, "unit": "B/s", "share": 0.9}]}]}' ;;
  "init "*) mkdir -p "\$2/.mlp/runs/1" && : >"\$2/mlp.yaml" ;;
  *"data add") ;;
  *" train "*) echo "a GPU: \${CUDA_VISIBLE_DEVICES-yes}" >"\$2/.mlp/runs/1/stderr.log"
    grep -q 'devices: 1' "\$2/mlp.yaml" || exit 3
    echo '{"samples_per_second": 500}' >"\$2/.mlp/runs/1/metrics.jsonl"
    : >"\$2/model.onnx"
    echo '{"metrics": {"accuracy": 0.9}, "seconds": 2}' ;;
  *) exit 4 ;;
esac
END
cat >programs/bin/kernels_check <<'END'
#!/bin/sh
[ "$*" = cuda ] || exit 4
echo "cuda:0: 1000 checks, 0 failed"
END
cat >programs/bin/kernels_bench <<'END'
#!/bin/sh
[ "$*" = "--device cuda:0" ] || exit 4
echo '{"op": "limit", "device": "cuda:0", "gflops": 50000.0}'
echo '{"op": "adamw", "us": 10.5, "gb_s": 4000.0, "of_limit": 0.93}'
END
cat >programs/bin/onnx_infer <<'END'
#!/bin/sh
[ "$1 $2" = "--device cuda" ] && [ -f "$3" ] || exit 4
echo '{"device": "cuda:0", "median_us": 20.0}'
END
# Finds a race; memcheck is endless where a file says so.
cat >tools/compute-sanitizer <<END
#!/bin/sh
cd "$PWD"
[ "\$1 \$3 \$4 \$6" = "--tool --error-exitcode 9 cuda" ] || exit 4
case \$2 in
  memcheck) [ ! -e endless ] || exec sleep 60 ;;
  racecheck) echo "========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)" && exit 9 ;;
  *) echo "========= ERROR SUMMARY: 0 errors" ;;
esac
END
# A python with torch, of which there is no torch.compile.
cat >tools/python <<'END'
#!/bin/sh
case "$*" in
  -c*) ;;
  *"--mode compile"*) echo '{"mode": "compile", "skipped": "no Triton"}' ;;
  *train_torch_gpu.py*--conv*) echo '{"samples_per_s": 100}' ;;
  *train_torch_gpu.py*) echo '{"samples_per_s": 200}' ;;
  *onnx_vs_torch.py*"--device cuda --json") echo '{"model": "mlp", "batch": 1, "device": "cuda:0",
    "mlp_us": 10, "us": {"torch": 30}, "ratios": {"torch": 3}}' ;;
  *) exit 4 ;;
esac
END
for tool in nvidia-smi nvbandwidth dcgmi; do printf '#!/bin/sh\n' >"tools/$tool"; done
chmod +x programs/bin/* tools/*
bench() {
  MLP_BENCH_PROGRAMS=programs MLP_BENCH_DATA=$PWD/images MLP_BENCH_ADULT=/nowhere MLP_BENCH_LIMIT=${limit:-60} \
    MLP_BENCH_PYTHON=$PWD/tools/python PATH=$PWD/tools:$PATH \
    "$MLP_SOURCE/dev/gpu-bench" "$@"
}
status() { jq -r --arg step "$1" '.steps[] | select(.step == $step) | "\(.status) \(.reason)"' out/gpu-bench.json; }

# All but ONNX's own tests, which are many files.
expect_exit 1 bench out kernels gpu train torch infer sanitizer vendor
contains "$out" "1 steps failed"
equals "$(jq -c '[.gpu, .no_gpu]' out/gpu-bench.json)" '[true,""]'
for step in kernels_check kernels_bench gpu_ls gpu_check train-gpu train-gpu-conv torch-eager torch-conv-eager torch-graphs \
  infer infer-trained vendor-nvbandwidth vendor-dcgmi vendor-nvidia-smi; do
  equals "$step $(status $step)" "$step ok "
done
equals "$(status sanitizer-memcheck)" "ok "
contains "$(status sanitizer-racecheck)" "failed exit code 9"
contains "$(status sanitizer-racecheck)" "RACECHECK SUMMARY: 1 hazard"
equals "$(status sanitizer-initcheck)" "ok ERROR SUMMARY: 0 errors"
equals "$(status torch-compile)" "skipped no Triton"
equals "$(jq -c .ratios out/gpu-bench.json)" \
  '{"eager":2.5,"compile":null,"graphs":2.5,"conv-eager":5,"conv-compile":null,"conv-graphs":5}'
equals "$(jq -c '.steps[] | select(.step == "train-gpu").result' out/gpu-bench.json)" \
  '{"samples_per_s":500,"metrics":{"accuracy":0.9},"seconds":2}'
report=$(cat out/gpu-bench.md)
contains "$report" "Driver 580.1, CUDA 13.0; H200."
contains "$report" "| eager | 2.5 |"
contains "$report" "| mlp | 1 | 10 | torch 30, 3 |"
contains "$report" "| adamw | 10.5 | 4000 GB/s | 93 % |"
contains "$report" "| 0 | copy | 4300 GB/s | 90 % |"

# One step after the other: the report keeps what was done before.
touch endless
limit=1 expect_exit 1 bench out sanitizer-mem
contains "$out" "1 steps failed"
equals "$(status sanitizer-memcheck)" "failed ran past 1 s; see logs/sanitizer-memcheck.log"
contains "$(status sanitizer-racecheck)" "failed exit code 9"
equals "$(status train-gpu)" "ok "
expect_exit 2 bench fresh no-such-step
contains "$err" "no step is called 'no-such-step'"
