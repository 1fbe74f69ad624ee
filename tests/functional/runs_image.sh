#!/usr/bin/env bash
# The programs of a run whose specification names an image run in it: with the project, its data
# and the run's folders at their own paths, with what mlp tells them, their signals and exit codes.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/image_lib.sh"

busybox_root base
echo "of the image" >base/etc/in-image
tar -C base -cf base.tar .
make_image layout env:v1 '{"Env": ["PATH=/bin", "MODE=image"], "Entrypoint": ["false"]}' base.tar
digest=$(jq -r '.manifests[0].digest' layout/index.json)

mkdir p elsewhere && cd p
printf 'name: p\ndatasets: {d: {path: x.csv}}\n' >mlp.yaml
echo a,b >x.csv
mkdir .mlp
cp -r ../layout .mlp/images

# in_image COMMAND: the exit code of a run of it, in the image.
in_image() {
  local code=0
  # Outside of the image it fails, and is then started again in it.
  expect_exit 10 mlp run -p lr=0.5 --data d --max-duration 60s -- sh -c "[ -e /etc/in-image ] || exit 9; $1"
  folder=$(ls -d "$PWD"/.mlp/runs/*/ | tail -1)
  jq --arg d "$digest" '.image = $d' "$folder/spec.json" >../spec
  cat ../spec >"$folder/spec.json"
  SECRET_OF_HOST=seen MARK=host mlp train --resume latest >../out 2>../err || code=$?
  return $code
}

in_image 'cat /etc/in-image; pwd; echo "mode $MODE $SECRET_OF_HOST"; cat "$MLP_DATA_D" "$MLP_PARAMS"
  echo "{\"loss\": 0.5}" >>"$MLP_METRICS"; echo made >"$MLP_OUT_DIR/made"; echo "rank $RANK"
  touch written' || fail "$(cat ../err ../out; mlp runs logs latest)"
log=$(mlp runs logs latest)
for part in "of the image" "$PWD" "mode image " "a,b" '0.5' "rank 0"; do contains "$log" "$part"; done
lacks "$log" seen
contains "$(cat ../out)" "loss  0.5"
equals "$(cat "$folder/outs/made")" made
equals "$(stat -c %u written)" "$(id -u)"
lacks "$(cat "$folder/container-0.json")" "0.5"

# The whole group gets the signal when a run is cancelled, and nothing is left.
code=0
in_image 'exit 3' || code=$?
equals "$code" 10
contains "$(cat ../err)" "3"
marker=45678$((RANDOM % 1000))
in_image "trap 'echo told; exit 0' TERM; sleep $marker & echo ready; while :; do sleep 0.05; done" &
wait_until 30 sh -c 'grep -q ready .mlp/runs/*/stdout.log'
mlp runs cancel latest >/dev/null
wait $! || true
contains "$(mlp runs logs latest)" told
if pgrep -f "sleep $marker\$" >/dev/null; then fail "a process is left"; fi

# An image that is not there is said to be missing.
rm -r .mlp/images
cp -r ../layout .mlp/images
echo '{"schemaVersion":2,"manifests":[]}' >.mlp/images/index.json
code=0
in_image true || code=$?
equals "$code" 10
contains "$(cat ../err)" "is not there"
