# `mlp serve` and `mlp predict` in a project: the only model, aliases, a service of mlp.yaml.
source "$(dirname "$0")/lib.sh"
MODELS=$MLP_SOURCE/tests/data/onnx

# served ARGUMENTS...: what a server with these arguments says that it serves.
served() {
  rm -f server.json
  "$MLP" serve --port 0 --json "$@" >server.json 2>server.err &
  local server=$! code=0
  wait_until 20 test -s server.json
  jq -r '"\(.model) \(.model_version) \(.url)"' server.json | sed 's/:[0-9]*$//'
  kill "$server"
  wait "$server" || code=$?
  equals "$code" 0
}

printf 'name: plants\n' >mlp.yaml
expect_exit 4 mlp serve
contains "$err" "this project has no model yet"
mlp model register species "$MODELS/species.onnx" >/dev/null 2>&1
equals "$(served)" "species 1 http://127.0.0.1"

# A second version; the champion goes before the latest.
mlp model register species "$MODELS/pixels.onnx" >/dev/null 2>&1
equals "$(served)" "species 2 http://127.0.0.1"
mlp model alias species@1 champion >/dev/null 2>&1
equals "$(served)" "species 1 http://127.0.0.1"
equals "$(served species@2)" "species 2 http://127.0.0.1"
printf '3,1,blue\n' >row.csv
expect_exit 0 mlp predict species@champion row.csv
equals "$(tail -1 <<<"$out" | cut -d, -f1)" tall

expect_exit 4 mlp serve speceis
contains "$err" "did you mean 'species'?"
expect_exit 4 mlp predict species@staging row.csv

# A service names the model and the address; the command line goes before it.
printf 'name: plants\nservices:\n  flowers: {model: species@1, host: localhost, port: 1}\n' >mlp.yaml
equals "$(served | sed 's/\[::1\]/127.0.0.1/')" "flowers 1 http://127.0.0.1"
equals "$(served flowers --host 127.0.0.1)" "flowers 1 http://127.0.0.1"
expect_exit 0 mlp predict flowers row.csv
equals "$(tail -1 <<<"$out" | cut -d, -f1)" tall

# Several, and no way to tell.
printf 'name: plants\nservices:\n  a: {model: species@1}\n  b: {model: species@2}\n' >mlp.yaml
expect_exit 2 mlp serve
contains "$err" "name one of: a, b, species"
