#!/usr/bin/env bash
# `mlp gpu ls` and `mlp gpu check` beside a fake driver library, and without any.
source "$(dirname "$0")/lib.sh"

fakes=${MLP_FAKES:?the folder of the fake driver library}
unset CUDA_VISIBLE_DEVICES
with_fake() { env LD_LIBRARY_PATH="$fakes" FAKE_NVML="$PWD/gpus.txt" "$@"; }

# Without a driver: an empty list, one line that says why, and no failure.
if ! /sbin/ldconfig -p | grep libnvidia-ml.so.1 >/dev/null; then
  expect_exit 0 mlp gpu ls
  equals "$out" ""
  contains "$err" "no NVIDIA driver: libnvidia-ml.so.1 is not installed"
  expect_exit 0 mlp gpu ls --json
  equals "$(jq -c '.gpus' <<<"$out")" "[]"
  contains "$(jq -r '.reason' <<<"$out")" "no NVIDIA driver"
  equals "$err" ""
  expect_exit 7 mlp gpu check
  contains "$err" "no GPU to check: no NVIDIA driver"
  contains "$(mlp doctor)" "GPU: none: training and inference run on the CPU"
fi

h100="model=NVIDIA_H100_80GB_HBM3 compute=9.0 memory=85520809984 used=1073741824 use=3"
h100+=" temperature=41 power=97100 power_limit=700000 sm=1980 sm_max=1980 mem=2619 mem_max=2619"
h100+=" throttle=0x1 ecc=1 corrected=2 uncorrected=0 remapped=0 gen=1 gen_max=5 width=16"
h100+=" width_max=16 nvlinks=18 nvlinks_active=18 nvswitch=1 mig=0"
cat >gpus.txt <<END
driver 580.65.06
cuda 13000
gpu $h100 uuid=GPU-aaaa bus=0x3b processes=4242:1073741824:/usr/bin/python3
gpu $h100 uuid=GPU-bbbb bus=0x5e remap_pending=1
gpu lost=15
gpu model=NVIDIA_T4
END
expect_exit 0 with_fake "$MLP" gpu ls
contains "$out" "  0  H100 80GB HBM3               1.0/79.6 GiB    3 %   41 C    97/700 W  ok"
contains "$out" "  1  H100 80GB HBM3               1.0/79.6 GiB    3 %   41 C    97/700 W  reset"
contains "$out" "  2  ?                                       -      -      -           -  lost"
contains "$out" "  3  T4                                      -      -      -           -  ok"
equals "$(awk 'length > 80' <<<"$out")" ""
equals "$err" ""

# Wide: clocks now and at most, errors corrected and not, PCIe, and what NVLinks reach.
expect_exit 0 with_fake "$MLP" gpu ls --wide
contains "$out" "  3  T4                                      -      -      -           -  ok"
contains "$out" "GPU     SM MHZ    MEM MHZ       ECC  PCIE GEN      WIDTH  NVLINKS"
contains "$out" "  0  1980/1980  2619/2619       2/0       1/5      16/16  18/18: switch x18"
contains "$out" "  2          -          -         -         -          -  -"
contains "$out" "  3          -          -         -         -          -  none"
sed "s/nvlinks=18 nvlinks_active=18 nvswitch=1/nvlinks=6 nvlinks_active=4 nvlink_to=0x5e,0x5e,0x77/" gpus.txt >meshed.txt
expect_exit 0 env LD_LIBRARY_PATH="$fakes" FAKE_NVML="$PWD/meshed.txt" "$MLP" gpu ls -w
contains "$out" "  0  1980/1980  2619/2619       2/0       1/5      16/16  4/6: GPU 1 x2, 0000:77:00.0 x1, ? x1"
expect_exit 0 env LD_LIBRARY_PATH="$fakes" FAKE_NVML="$PWD/meshed.txt" "$MLP" gpu ls --json
equals "$(jq -c '[.gpus[0, 2, 3].nvlink_ends]' <<<"$out")" \
  '[["0000:5e:00.0","0000:5e:00.0","0000:77:00.0",null],null,[]]'

expect_exit 0 with_fake "$MLP" gpu ls --processes
contains "$out" "  0        4242     1.0 GiB  /usr/bin/python3"
expect_exit 0 with_fake env CUDA_VISIBLE_DEVICES=1 "$MLP" gpu ls
contains "$err" "CUDA_VISIBLE_DEVICES=1"
equals "$(wc -l <<<"$out")" 5

# Everything in the JSON; what the driver refuses is null and not zero.
expect_exit 0 with_fake "$MLP" gpu ls --processes --json
equals "$(jq -r '.driver, .cuda, .cuda_visible_devices' <<<"$out" | tr '\n' ' ')" "580.65.06 13.0 null "
equals "$(jq -c '.gpus[0].pcie' <<<"$out")" \
  '{"bus_id":"0000:3b:00.0","generation":1,"generation_max":5,"width":16,"width_max":16}'
equals "$(jq -c '.gpus[0] | [.uuid, .compute_capability, .power_w, .ecc.corrected, .nvlinks_active, .throttle]' <<<"$out")" \
  '["GPU-aaaa","9.0",97.1,2,18,["idle"]]'
equals "$(jq -c '.gpus[0].processes' <<<"$out")" \
  '[{"memory":1073741824,"name":"/usr/bin/python3","pid":4242}]'
equals "$(jq -c '.gpus[2] | [.state, .lost, .model]' <<<"$out")" '["lost","GPU is lost",null]'
equals "$(jq -c '.gpus[3] | [.memory_total, .ecc.uncorrected, .temperature_c, .pcie.width]' <<<"$out")" \
  '[null,null,null,null]'

contains "$(with_fake "$MLP" doctor)" "GPU: 4 with driver 580.65.06: 2 x H100 80GB HBM3, ?, T4"

# Nothing measures where CUDA has no GPU: its own code, with the reason, and no verdict.
if ! /sbin/ldconfig -p | grep libcuda.so.1 >/dev/null; then
  expect_exit 7 with_fake "$MLP" gpu check --gpu 0,1
  contains "$err" "no GPU to check: "
  equals "$out" ""
fi
expect_exit 4 with_fake "$MLP" gpu check --gpu 0,7
contains "$err" "no GPU '7'"
expect_exit 2 with_fake "$MLP" gpu check --quick --full
expect_exit 7 with_fake env CUDA_VISIBLE_DEVICES= "$MLP" gpu check
contains "$err" "CUDA_VISIBLE_DEVICES leaves none"

# A lost GPU is a verdict, and needs no measuring.
expect_exit 1 with_fake "$MLP" gpu check --gpu 2
contains "$out" "GPU 2  ?  : fail"
contains "$out" "  fail: the driver has lost it: GPU is lost"
contains "$out" "verdict: fail"
expect_exit 1 with_fake "$MLP" gpu check --gpu 2 --json
equals "$(jq -c '[.verdict, .mode, .gpus[0].index, .gpus[0].verdict, .links]' <<<"$out")" \
  '["fail","quick",2,"fail",[]]'
sed -i 's/ mig=0 uuid=GPU-aaaa/ mig=1 uuid=GPU-aaaa/' gpus.txt
expect_exit 5 with_fake "$MLP" gpu check --gpu 0
contains "$err" "GPU 0 is split by MIG"

# A driver that is there and does not answer is an error with a hint.
echo "init 18" >gpus.txt
expect_exit 7 with_fake "$MLP" gpu ls
contains "$err" "of different versions"
contains "$err" "hint:"
contains "$(with_fake "$MLP" doctor)" "warning  GPU: the NVIDIA driver in the kernel and its libraries"
echo "init 4" >gpus.txt
expect_exit 6 with_fake "$MLP" gpu ls
contains "$err" "no permission to ask the NVIDIA driver"
echo "init 999" >gpus.txt
expect_exit 7 with_fake "$MLP" gpu ls --json
equals "$(jq -r '.error.message' <<<"$err")" "the NVIDIA driver does not answer: Unknown Error"
rm gpus.txt # the kernel module is not loaded
expect_exit 0 with_fake "$MLP" gpu ls
contains "$err" "its kernel module is not loaded"
: >gpus.txt
expect_exit 0 with_fake "$MLP" gpu ls
contains "$err" "the NVIDIA driver finds no GPU"
