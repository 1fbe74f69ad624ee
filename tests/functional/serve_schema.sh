# Every answer of `mlp serve` is what the OpenAPI file of the Open Inference Protocol says, where that
# file and python3-jsonschema are there.
source "$(dirname "$0")/lib.sh"
have_data spec-open-inference
/usr/bin/python3 -c 'import jsonschema, yaml' 2>/dev/null || skip "no python3-jsonschema and python3-yaml"
"$MLP" serve --port 0 --json --file "$MLP_SOURCE/tests/data/onnx/species.onnx" >server.json 2>server.err &
server=$!
wait_until 20 test -s server.json
url=$(jq -r .url server.json)

cat >check.py <<'PYTHON'
import json, sys, urllib.error, urllib.request
import jsonschema, yaml

url, specification = sys.argv[1:]
schemas = yaml.safe_load(open(specification))
infer = "/v2/models/species/infer"
inputs = [{"name": "length", "datatype": "FP32", "shape": [2, 1], "data": [1, None]},
          {"name": "width", "datatype": "FP32", "shape": [2, 1], "data": [[1], [2]]},
          {"name": "colour", "datatype": "BYTES", "shape": [2, 1], "data": ["red", ""]}]
cases = [
    ("/v2", None, "metadata_server_response"),
    ("/v2/models/species", None, "metadata_model_response"),
    ("/v2/models/species/versions/1", None, "metadata_model_response"),
    (infer, {"inputs": inputs}, "inference_response"),
    (infer, {"id": "1", "inputs": inputs, "outputs": [{"name": "label"}]}, "inference_response"),
    (infer, {"inputs": []}, "inference_error_response"),
    (infer, [], "inference_error_response"),
    ("/v2/models/none", None, "metadata_model_error_response"),
]
for path, body, name in cases:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    try:
        answer = json.load(urllib.request.urlopen(request, timeout=20))
        failed = False
    except urllib.error.HTTPError as error:
        answer, failed = json.load(error), True
    assert failed == ("error" in name), (path, answer)
    jsonschema.validate(answer, {"$ref": "#/components/schemas/" + name,
                                 "components": schemas["components"]})
    assert not failed or answer["error"], answer
print(len(cases), "answers checked")
PYTHON
for specification in open_inference_rest kserve_rest_predict_v2; do
  /usr/bin/python3 check.py "$url" "$DATA/spec-open-inference/$specification.yaml"
done
kill "$server"
wait "$server"
