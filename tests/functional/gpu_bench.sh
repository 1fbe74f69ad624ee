#!/usr/bin/env bash
# dev/gpu-bench on a machine with a GPU, as its script sees it: programs that answer as ours would
# there, unpacked from an archive. What is run, what is read from it, and the report.
source "$(dirname "$0")/lib.sh"

unset CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER LD_LIBRARY_PATH
mkdir -p programs/bin tools images adult
echo "39, State-gov, 77516, <=50K" >adult/adult.data
ln -s "$(command -v jq)" programs/bin/jq
# $GPUS of them. Its JSON is as `mlp gpu ls` and `mlp gpu check` write it.
cat >programs/bin/mlp <<'END'
#!/bin/sh
figure() { # NAME GPUS UNIT VALUE SHARE
  printf '{"amount": 1, "best": %s, "figure": "%s", "gpus": [%s], "limit": 1e12, "of_siblings": null,
    "repetitions": 5, "share": %s, "siblings": null, "unit": "%s", "value": %s, "verdict": "pass",
    "why": ""}' "$4" "$1" "$2" "$5" "$3" "$4"
}
gpu() { # INDEX
  printf '{"chip": "H200", "figures": [%s, %s, %s, %s], "findings": [], "index": %s, "verdict": "pass"}' \
    "$(figure copy "$1" bytes/s 4.2e12 0.88)" "$(figure bf16 "$1" flop/s 7.5e14 0.76)" \
    "$(figure host_to_device "$1" bytes/s 5.5e10 0.87)" "$(figure device_to_host "$1" bytes/s null null)" "$1"
}
case "$*" in
  "gpu ls"*)
    case $GPUS in
      0) echo '{"gpus": [], "reason": "no NVIDIA driver: libnvidia-ml.so.1 is not installed"}' ;;
      1) echo '{"gpus": [{"index": 0, "model": "H200"}], "driver": "580.1", "cuda": "13.0"}' ;;
      2) echo '{"gpus": [{"index": 0, "model": "H200"}, {"index": 1, "model": "H200"}]}' ;;
    esac
    ;;
  "gpu check --quick"*) echo "{}" && exit 1 ;;
  "gpu check --full"*)
    gpus=$(gpu 0) links=
    [ "$GPUS" = 1 ] || gpus="$gpus, $(gpu 1)"
    [ "$GPUS" = 1 ] || links="$(figure peer 0,1 bytes/s 3.6e11 0.8), $(figure all_reduce 0,1 bytes/s 4e11 0.9)"
    echo "{\"verdict\": \"pass\", \"links\": [$links], \"gpus\": [$gpus]}"
    ;;
  "gpu check --help") ;;
  "init "*) mkdir -p "$2/.mlp/runs/1" && : >"$2/mlp.yaml" ;;
  *"data add") ;;
  *" train "*)
    echo "a GPU: ${CUDA_VISIBLE_DEVICES-yes}" >"$2/.mlp/runs/1/stderr.log"
    grep -Eq 'devices: (1|all)$' "$2/mlp.yaml" || exit 3
    case $(sed -n 's/.*precision: //p' "$2/mlp.yaml") in
      float32) speed=300 ;;
      tf32) speed=400 ;;
      bf16) speed=600 ;;
      *) exit 3 ;;
    esac
    if grep -q 'devices: all' "$2/mlp.yaml"; then
      speed=550
    else # now and then a slow run
      echo run >>"$COUNT"
      [ $(($(wc -l <"$COUNT") % 3)) != 2 ] || speed=7
    fi
    # The first epoch warms up, and one is off.
    for rate in 1 $speed $speed 9999 $speed; do echo "{\"samples_per_second\": $rate}"; done >"$2/.mlp/runs/1/metrics.jsonl"
    : >"$2/model.onnx"
    echo '{"metrics": {"accuracy": 0.9}, "seconds": 2}'
    ;;
  *) exit 4 ;;
esac
END
cat >programs/bin/kernels_check <<'END'
#!/bin/sh
echo "$*: 1000 checks, 0 failed"
END
cat >programs/bin/kernels_bench <<'END'
#!/bin/sh
case "$*" in
  "--device cpu 2 1") echo '{"op": "elementwise x + r, relu", "device": "cpu", "us": 9.0, "gb_s": 3.0, "of_limit": 0.2}' && exit ;;
  "--device cuda:0 --precision f32" | "--device cuda:0 --precision tf32" | "--device cuda:0 --precision bf16") ;;
  *) exit 4 ;;
esac
echo '{"op": "limit", "device": "cuda:0", "gflops": 50000.0}'
echo '{"op": "adamw", "us": 10.5, "gb_s": 4000.0, "of_limit": 0.93}'
echo '{"op": "elementwise x + r, relu", "us": 9.0, "gb_s": 3600.0, "of_limit": 0.84}'
echo '{"op": "matmul square 1024", "us": 50.0, "gflops": 40000.0, "of_limit": 0.8, "peer": "cuBLASLt, 16 tried", "peer_us": 49.0, "of_peer": 0.98}'
echo '{"op": "max pool 2x2", "us": 5.0, "gb_s": 3000.0, "of_limit": 0.7, "peer": "cuDNN, 1 tried", "peer_us": 6.0, "of_peer": 1.2, "peer_differs": true}'
END
cat >programs/bin/onnx_infer <<'END'
#!/bin/sh
case "$*" in
  "--device cuda "*) [ -f "$3" ] && echo '{"device": "cuda:0", "median_us": 20.0}' ;;
  *".onnx 16 1 0.1") echo '{"device": "cpu", "median_us": 200.0}' ;;
  *) exit 4 ;;
esac
END
cat >programs/bin/train_bench <<'END'
#!/bin/sh
case "$*" in *" --epochs 1 --rows "*) echo '{"samples_per_s": 1}' ;; *) exit 4 ;; esac
END
# Runs what is to be sanitized, and finds a race; memcheck is endless where a file says so.
cat >tools/compute-sanitizer <<END
#!/bin/sh
work=$PWD
[ "\$1 \$3 \$4 \$5 \$6" = "--tool --target-processes all --error-exitcode 9" ] || exit 4
tool=\$2
shift 6
"\$@"
code=\$?
case \$tool in
  memcheck) [ ! -e "\$work/endless" ] || exec sleep 60 ;;
  racecheck) echo "========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)" && exit 9 ;;
esac
if [ -e "\$work/wild" ]; then echo "========= ERROR SUMMARY: 3 errors" && exit 1; fi
echo "========= ERROR SUMMARY: 0 errors"
exit \$code
END
# A python with torch, of which there is no torch.compile.
cat >tools/python <<'END'
#!/bin/sh
case "$*" in
  -c*) ;;
  *"--mode compile"*) echo '{"mode": "compile", "skipped": "no Triton"}' ;;
  *train_torch_gpu.py*--conv*) echo '{"samples_per_s": 100}' ;;
  *train_torch_gpu.py*adult.csv*) head -1 "$2" | grep -q income && echo '{"samples_per_s": 50}' ;;
  *train_torch_gpu.py*) echo '{"samples_per_s": 120}' ;;
  *onnx_vs_torch.py*"--device cuda --json") echo '{"model": "mlp", "batch": 1, "device": "cuda:0",
    "mlp_us": 10, "us": {"torch": 30}, "ratios": {"torch": 3}}' ;;
  *onnx_vs_torch.py*" --json --seconds 0.1 --rounds 1") echo '{"model": "mlp", "batch": 1, "device": "cpu",
    "mlp_us": 10, "us": {"torch": 30}, "ratios": {"torch": 3}}' ;;
  *) exit 4 ;;
esac
END
# The vendor's tools, with what they print: copies within a GPU are counted once there.
cat >tools/nvbandwidth <<'END'
#!/bin/sh
[ "$CUDA_DEVICE_ORDER $1 $2" = "PCI_BUS_ID -j -t" ] || exit 4
cat <<'JSON'
{"nvbandwidth": {"CUDA Runtime Version": 13000, "testcases": [
  {"name": "device_local_copy", "status": "Passed", "sum": 4000, "bandwidth_matrix": [["2000.00", "2100.00"]]},
  {"name": "host_to_device_memcpy_ce", "status": "Passed", "bandwidth_matrix": [["55.00", "50.00"]]},
  {"name": "device_to_host_memcpy_ce", "status": "Waived"},
  {"name": "device_to_device_memcpy_write_ce", "status": "Passed",
   "bandwidth_matrix": [["N/A", "400.00"], ["300.00", "N/A"]]}]}}
JSON
END
cat >tools/all_reduce_perf <<'END'
#!/bin/sh
[ "$*" = "-b 256M -e 256M -g 2" ] || exit 4
echo "   268435456      67108864     float     sum      -1   1000.0  268.44  400.00      0"
echo "# Out of bounds values : 0 OK"
echo "# Avg bus bandwidth    : 410.25 "
END
for tool in nvidia-smi dcgmi; do printf '#!/bin/sh\n' >"tools/$tool"; done
chmod +x programs/bin/* tools/*
export GPUS=1 COUNT=$PWD/count
bench() {
  MLP_BENCH_PROGRAMS=programs MLP_BENCH_DATA=$PWD/images MLP_BENCH_ADULT=$PWD/adult MLP_BENCH_LIMIT=${limit:-60} \
    MLP_BENCH_ROUNDS=3 MLP_BENCH_PYTHON=$PWD/tools/python PATH=$PWD/tools:$PATH \
    "$MLP_SOURCE/dev/gpu-bench" "$@"
}
status() { jq -r --arg step "$1" '.steps[] | select(.step == $step) | "\(.status) \(.reason)"' out/gpu-bench.json; }

# All but ONNX's own tests, which are many files.
expect_exit 1 bench out kernels gpu train-gpu infer sanitizer-{race,init,sync} sanitizer-memcheck-{gpu,train} vendor
contains "$out" "1 steps failed"
equals "$(jq -c '[.gpu, .no_gpu]' out/gpu-bench.json)" '[true,""]'
for step in kernels_check kernels_bench-{f32,tf32,bf16} gpu_ls gpu_check train-gpu-{fashion,conv,adult}-{f32,tf32,bf16} \
  infer infer-trained vendor-nvbandwidth vendor-dcgmi vendor-nvidia-smi; do
  equals "$step $(status $step)" "$step ok "
done
contains "$(status sanitizer-racecheck)" "failed exit code 9"
contains "$(status sanitizer-racecheck)" "RACECHECK SUMMARY: 1 hazard"
# A check that fails because it is slow is not one that reads out of bounds.
for step in initcheck synccheck memcheck-gpu_check memcheck-train; do
  equals "$step $(status sanitizer-$step)" "$step ok ERROR SUMMARY: 0 errors"
done
equals "$(status train-gpu-all)" ""
equals "$(status vendor-all_reduce_perf)" ""

# Medians of rounds, ours and PyTorch's in turn: one slow run of three changes nothing.
equals "$(jq -c '.ratios[] | select(.network == "fashion" and .precision != "bf16") | [.precision, .mode, .mlp, .torch, .ratio]' \
  out/gpu-bench.json | tr '\n' ' ')" \
  '["f32","compile",300,null,null] ["f32","eager",300,120,2.5] ["f32","graphs",300,120,2.5] ["tf32","compile",400,null,null] ["tf32","eager",400,120,3.3333333333333335] ["tf32","graphs",400,120,3.3333333333333335] '
equals "$(jq -c '.steps[] | select(.step == "train-gpu-adult-bf16").result | [.samples_per_s, .metrics, .ratios, .beside.eager, .beside.compile.skipped]' \
  out/gpu-bench.json)" '[600,{"accuracy":0.9},{"compile":null,"eager":12,"graphs":12},{"samples_per_s":50,"rounds":3,"skipped":null},"no Triton"]'

# The vendor's figures beside ours.
equals "$(jq -c '.preflight[] | [.figure, .gpus, .tool, .mlp, .vendor]' out/gpu-bench.json | tr '\n' ' ')" \
  '["copy",[0],"nvbandwidth",4200,4000] ["host_to_device",[0],"nvbandwidth",55,55] '
# What is wanted, and whether it is so.
equals "$(jq -c '.goals[] | [(.worst * 1000 | round), .met, .where]' out/gpu-bench.json | tr '\n' ' ')" \
  '[2500,true,"fashion, f32"] [840,false,"elementwise x + r, relu, f32"] [980,true,"matmul square 1024, f32"] [1200,true,"max pool 2x2, f32"] [952,true,"copy 0"] '
report=$(cat out/gpu-bench.md)
contains "$report" "Driver 580.1, CUDA 13.0; H200."
contains "$report" "| training beside eager PyTorch | 2 | 2.5 | fashion, f32 | met |"
contains "$report" "| elementwise kernels, share of the copy bandwidth | 0.85 | 0.84 | elementwise x + r, relu, f32 | **not met** |"
contains "$report" "| fashion | tf32 | eager | 400 | 120 | 3.33 |"
contains "$report" "| fashion | tf32 | compile | 400 | - | no Triton |"
contains "$report" "| mlp | 1 | 10 | torch 30, 3 |"
contains "$report" "## Kernels, cuda:0, products of float32 in bf16"
contains "$report" "| adamw | 10.5 | 4000 GB/s | 93 % | - |"
contains "$report" "| matmul square 1024 | 50 | 40000 Gflop/s | 80 % | 98 % (cuBLASLt, 16 tried) |"
contains "$report" "| max pool 2x2 | 5 | 3000 GB/s | 70 % | 120 % (cuDNN, 1 tried; results differ) |"
contains "$report" "| 0 | copy | 4200 GB/s | 88 % |"
contains "$report" "| 0 | bf16 | 750000 Gflop/s | 76 % |"
contains "$report" "| 0 | device_to_host | - | - |"
contains "$report" "| 0 | copy | 4200 | nvbandwidth | 4000 | 1.05 |"

# One step after the other: the report keeps what was done before.
touch endless
limit=1 expect_exit 1 bench out sanitizer-memcheck-train
contains "$out" "1 steps failed"
equals "$(status sanitizer-memcheck-train)" "failed ran past 1 s; see logs/sanitizer-memcheck-train.log"
contains "$(status sanitizer-racecheck)" "failed exit code 9"
equals "$(status train-gpu-conv-f32)" "ok "
rm endless
touch wild # what the sanitizer finds fails the step, whatever the program's own exit code
expect_exit 1 bench out sanitizer-memcheck-gpu
contains "$(status sanitizer-memcheck-gpu_check)" "failed exit code 9"
contains "$(status sanitizer-memcheck-gpu_check)" "ERROR SUMMARY: 3 errors"
rm wild
expect_exit 2 bench fresh no-such-step
contains "$err" "no step is called 'no-such-step'"
before=$(jq -c '[.steps[] | del(.seconds)]' out/gpu-bench.json)
expect_exit 2 bench out no-such-step # what is there is no answer
equals "$(jq -c '[.steps[] | del(.seconds)]' out/gpu-bench.json)" "$before"
# The GPU has gone: what was measured on it stays.
cp -r out gone
GPUS=0 expect_exit 0 bench gone gpu_check
contains "$out" "gpu_check                    kept"
equals "$(jq -r '.steps[] | select(.step == "gpu_check").status' gone/gpu-bench.json)" ok

# Two GPUs: training on both, their links, and the vendor's figures of each.
export GPUS=2
rm -r out "$COUNT"
expect_exit 0 bench out gpu_check train-gpu-all vendor
equals "$(jq -r '.steps[] | select(.step == "train-gpu-all").result.samples_per_s' out/gpu-bench.json)" 550
equals "$(jq -c '.preflight[] | [.figure, .gpus, .vendor]' out/gpu-bench.json | tr '\n' ' ')" \
  '["copy",[0],4000] ["host_to_device",[0],55] ["copy",[1],4200] ["host_to_device",[1],50] ["peer",[0,1],400] ["all_reduce",[0,1],410.25] '
contains "$(cat out/gpu-bench.md)" "| 0,1 | all_reduce | 400 GB/s | 90 % |"
contains "$(cat out/gpu-bench.md)" "| 0,1 | peer | 360 | nvbandwidth | 400 | 0.9 |"
contains "$(cat out/gpu-bench.md)" "| preflight beside the vendor's tools | 0.95 | 0.9 | "

# Without a GPU: all programs start, what needs one is skipped with the reason, and nothing fails.
export GPUS=0
rm -r out
expect_exit 0 bench out gpu kernels onnx mlp train_bench train-gpu torch infer
contains "$out" "No GPU here (no NVIDIA driver: libnvidia-ml.so.1 is not installed)"
for step in {kernels_check,kernels_bench,onnx_infer,train_bench,mlp}-starts gpu_ls torch-eager-cpu torch-adult-cpu infer-cpu; do
  equals "$step $(status $step)" "$step ok "
done
for step in kernels_check kernels_bench gpu_check train-gpu infer; do
  equals "$step $(status $step)" "$step skipped no NVIDIA driver: libnvidia-ml.so.1 is not installed"
done
contains "$(cat out/gpu-bench.md)" "**No GPU here: no NVIDIA driver"
contains "$(cat out/gpu-bench.md)" "## Inference, cpu"
# What is wanted is wanted of a GPU.
equals "$(jq -c .goals out/gpu-bench.json)" "[]"
mv programs/bin/train_bench .
expect_exit 1 bench out train_bench
contains "$(status train_bench-starts)" "failed '"

# The archive holds each program and the libraries that it loads, but for those of the machine.
mkdir -p tree/dev build-tools
cp "$MLP_SOURCE/dev/gpu-bench" tree/dev/
printf '#!/bin/sh\n[ "$*" = "build test" ]\n' >tree/dev/deps
cat >build-tools/cmake <<END
#!/bin/sh
case "\$*" in
  "--build build/release -- --quiet") built="release/cli/mlp release/kernels/kernels_check
    release/tests/conformance/onnx_node_test" ;;
  "--build build/bench "*) built="bench/kernels/kernels_bench bench/tests/bench/onnx_infer
    bench/tests/bench/train_bench" ;;
  "--preset release" | "--preset bench") exit 0 ;;
  *) exit 4 ;;
esac
for program in \$built; do
  mkdir -p "build/\$(dirname "\$program")" && cp "$(readlink -f "$(command -v jq)")" "build/\$program" || exit
done
END
chmod +x tree/dev/* build-tools/cmake
expect_exit 0 env PATH="$PWD/build-tools:$PATH" tree/dev/gpu-bench --pack archives/programs.tar.xz
contains "$out" "archives/programs.tar.xz: "
tar -xJf archives/programs.tar.xz
equals "$(ls gpu-bench-programs/bin | tr '\n' ' ')" \
  "jq kernels_bench kernels_check mlp onnx_infer onnx_node_test train_bench "
contains "$(ls gpu-bench-programs/lib)" "libjq.so"
for library in c m stdc++; do
  expect_exit 1 test -e "gpu-bench-programs/lib/lib$library.so.6"
done
