# A real Prometheus scrapes `mlp serve` and sees the requests that were made.
source "$(dirname "$0")/../functional/lib.sh"
command -v prometheus >/dev/null || skip "prometheus is not installed"

mlp init digits --template image-classifier
cd digits
mlp train --param epochs=1 >train.txt 2>&1 || fail "train: $(cat train.txt)"
"$MLP" serve --port 0 --json >server.json 2>server.log &
server=$!
wait_until 20 test -s server.json
url=$(jq -r .url server.json)
model=$(curl -fsS -X POST "$url/v2/repository/index" 2>/dev/null | jq -r '.[0].name' 2>/dev/null || echo digits)

# promtool reads it (exit 1 if it cannot); its remarks on style (3) are about Triton's own names.
code=0
remarks=$(curl -fsS "$url/metrics" | promtool check metrics 2>&1) || code=$?
[ "$code" = 0 ] || [ "$code" = 3 ] || fail "promtool finds fault with /metrics: $remarks"
lacks "$remarks" "mlp_"

shape=$(curl -fsS "$url/v2/models/$model" | jq -c '.inputs[0].shape | map(if . < 0 then 1 else . end)')
count=$(jq 'reduce .[] as $d (1; . * $d)' <<<"$shape")
data=$(seq "$count" | jq -cs 'map(. % 16)')
request=$(curl -fsS "$url/v2/models/$model" | jq -c --argjson shape "$shape" --argjson data "$data" \
  '{inputs: [{name: .inputs[0].name, datatype: .inputs[0].datatype, shape: $shape, data: $data}]}')
for _ in 1 2 3 4 5; do
  curl -fsS "$url/v2/models/$model/infer" -d "$request" >/dev/null
done
curl -sS "$url/v2/models/$model/infer" -d '{}' >/dev/null

port=$(bash "$MLP_SOURCE/dev/services/prometheus-up.sh" "$TEST_DIR/prometheus" "${url#http://}")
value() {
  curl -fsSG "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" |
    jq -r '.data.result[0].value[1] // empty'
}
sees_five() { [ "$(value 'nv_inference_request_success')" = 5 ]; }
wait_until 30 sees_five
equals "$(value 'nv_inference_request_failure')" 1
equals "$(value 'up{job="mlp"}')" 1
bash "$MLP_SOURCE/dev/services/prometheus-down.sh" "$TEST_DIR/prometheus"
kill "$server"
wait "$server" || fail "the server did not stop cleanly"
