# `mlp serve` with a model file: the whole of the protocol's answers, refusals with the right code,
# hostile clients, and a clean stop under load.
source "$(dirname "$0")/lib.sh"
MODELS=$MLP_SOURCE/tests/data/onnx

# start ARGUMENTS...: starts a server; sets $url, $port and $server (its process).
start() {
  rm -f "$TEST_DIR/server.json"
  "$MLP" serve --port 0 --json "$@" >"$TEST_DIR/server.json" 2>"$TEST_DIR/server.err" &
  server=$!
  wait_until 20 test -s "$TEST_DIR/server.json"
  url=$(jq -r .url "$TEST_DIR/server.json")
  port=$(jq -r .port "$TEST_DIR/server.json")
}

# stop [SIGNAL]: ends it, and it must exit 0.
stop() {
  local code=0
  kill "-${1:-TERM}" "$server"
  wait "$server" || code=$?
  equals "$code" 0
}

# post BODY [TYPE]: sets $code and $body.
post() {
  body=$(curl -s -m 20 -o - -w '\n%{http_code}' -H "Content-Type: ${2:-application/json}" \
    --data-binary "$1" "$url/v2/models/species/infer") || true
  code=${body##*$'\n'}
  body=${body%$'\n'*}
}

# refused CODE TEXT: what post got.
refused() {
  equals "$code" "$1"
  contains "$(jq -r .error <<<"$body")" "$2"
}

input() { printf '{"name":"%s","datatype":"%s","shape":%s,"data":%s}' "$@"; }
rows='{"id":"r1","inputs":['$(input length FP32 '[3,1]' '[3,1,null]'),$(
  input width FP32 '[3,1]' '[[1],[1],[1]]'),$(input colour BYTES '[3,1]' '["blue","blue","red"]')']}'

start --file "$MODELS/species.onnx"
equals "$(jq -r .model "$TEST_DIR/server.json")" species

# What there is.
equals "$(curl -s "$url/v2" | jq -r .name)" mlp
equals "$(curl -s -o /dev/null -w '%{http_code}' "$url/v2/health/live")" 200
equals "$(curl -s -o /dev/null -w '%{http_code}' "$url/v2/health/ready")" 200
equals "$(curl -s "$url/v2/models/species" | jq -c '[.name,.versions,(.inputs[]|[.name,.datatype,.shape])]')" \
  '["species",["1"],["length","FP32",[-1,1]],["width","FP32",[-1,1]],["colour","BYTES",[-1,1]]]'
equals "$(curl -s "$url/v2/models/species/versions/1/ready" | jq .ready)" true
equals "$(curl -s "$url/" | jq -r '.models[0]')" species
equals "$(curl -sI "$url/v2" | head -1 | tr -d '\r')" "HTTP/1.1 200 OK"

# An inference; a blank is taken for 1.
post "$rows"
equals "$code" 200
equals "$(jq -c '[.model_name,.model_version,.id,.outputs[0].data]' <<<"$body")" \
  '["species","1","r1",["tall","short","tall"]]'
equals "$(jq -c '.outputs[1]|[.name,.shape,.datatype]' <<<"$body")" '["probabilities",[3,2],"FP32"]'

# The same as `mlp predict` gives.
printf 'length,width,colour\n3,1,blue\n1,1,blue\n,1,red\n' >rows.csv
mlp predict --file "$MODELS/species.onnx" rows.csv --all >predicted.csv
jq -r '.outputs as $o | range(3) | [$o[0].data[.], $o[1].data[2*.], $o[1].data[2*.+1]] | @csv' \
  <<<"$body" | tr -d '"' >served.csv
paste -d, <(tail -n +2 predicted.csv) served.csv | awk -F, '
  !($1 == $4 && ($2 - $5) ^ 2 < 1e-12 && ($3 - $6) ^ 2 < 1e-12) { exit 1 }
  END { exit NR != 3 }' || fail "predict says $(cat predicted.csv), and serve $(cat served.csv)"

# What is wrong is said, with the right code.
post '{"inputs":['
refused 400 "not valid JSON"
post "${rows/length/lenght}"
refused 400 "did you mean 'length'?"
post "${rows/FP32/FP64}"
refused 400 "input 'length' is FP32, not FP64"
post "${rows/\[3,1\]/[1,3]}"
refused 400 "input 'length' has shape [?, 1], not [1, 3]"
post "${rows/\[3,1,null\]/[3,1]}"
refused 400 "2 elements of data"
post "${rows/blue/\"\\x\"}"
refused 400 "not valid JSON"
post "${rows%\}},\"outputs\":[{\"name\":\"lable\"}]}"
refused 400 "did you mean 'label'?"
post "$rows" text/plain
refused 415 "send application/json"
body=$(curl -s "$url/v2/models/speceis")
contains "$body" "did you mean 'species'?"
equals "$(curl -s -o /dev/null -w '%{http_code}' "$url/v2/models/species/infer")" 405
equals "$(curl -s -o /dev/null -w '%{http_code}' -H "X: $(printf '%09000d' 0)" "$url/v2")" 431

# Metrics count it, and Prometheus reads them.
metrics=$(curl -s "$url/metrics")
contains "$metrics" 'nv_inference_request_success{model="species",version="1"} 1'
contains "$metrics" 'nv_inference_count{model="species",version="1"} 3'
if command -v promtool >/dev/null; then
  # Its style remarks (exit 3) are about Triton's own names, which are kept; ours must have none.
  code=0
  remarks=$(promtool check metrics <<<"$metrics" 2>&1) || code=$?
  [ "$code" = 0 ] || [ "$code" = 3 ] || fail "promtool: $remarks"
  lacks "$remarks" "mlp_"
fi

# Many connections at once.
if command -v ab >/dev/null; then
  printf '%s' "$rows" >body.json
  ab -q -k -n 4000 -c 200 -p body.json -T application/json "$url/v2/models/species/infer" \
    >ab.txt 2>&1 || fail "$(cat ab.txt)"
  grep -q 'Failed requests: *0' ab.txt || fail "$(cat ab.txt)"
  ! grep -q 'Non-2xx' ab.txt || fail "$(cat ab.txt)"
fi
stop INT

# Limits of its own: a body too large, a client too slow, a port in use.
start --file "$MODELS/species.onnx" --max-body 1KiB --timeout 300ms
post "{\"pad\":\"$(printf '%02000d' 0)\"}"
refused 413 "larger than"
exec 3<>"/dev/tcp/127.0.0.1/$port"
printf 'POST /v2/models/species/infer HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab' >&3
contains "$(timeout 10 cat <&3)" "408 Request Timeout"
exec 3>&-
expect_exit 5 mlp serve --file "$MODELS/species.onnx" --port "$port"
contains "$err" "cannot listen on '127.0.0.1' port $port"
contains "$err" "--port 0"
stop

# A stop under load: every request that was sent gets its answer, and it exits 0.
start --file "$MODELS/species.onnx"
for i in $(seq 8); do
  (
    while curl -s -m 20 -o "answer.$i" -w '%{http_code} %{exitcode}\n' --data-binary "$rows" \
      "$url/v2/models/species/infer" >>"codes.$i" 2>/dev/null; do :; done
  ) &
done
sleep 1
stop
sleep 0.3
# 200, or a connection that was never made (curl's exit code 7).
if sort codes.* | uniq -c | grep -Ev ' (200 0|000 7)$'; then fail "a request was cut off"; fi
grep -q '200 0' codes.1

# Without a GPU, and unless the CPU was asked for, one line says why the CPU does it.
if [ "$(mlp gpu ls --json | jq '.gpus | length')" = 0 ]; then
  for device in auto cpu; do
    "$MLP" serve --file "$MODELS/species.onnx" --port 0 --device "$device" 2>said.err &
    server=$!
    wait_until 20 grep -q '^serving species version 1 at http' said.err
    stop
    count=0
    [ "$device" = cpu ] || count=1
    equals "$(grep -c '^the model runs on the CPU: .' said.err)" "$count"
  done
fi

# What cannot be served says so.
expect_exit 4 mlp serve --file nothing.onnx
contains "$err" "nothing.onnx"
echo "no model" >broken.onnx
expect_exit 3 mlp serve --file broken.onnx --port 0
expect_exit 2 mlp serve digits --file "$MODELS/species.onnx"
expect_exit 2 mlp serve --file "$MODELS/species.onnx" --host 198.51.100.1
contains "$err" "cannot listen on '198.51.100.1'"
