#!/usr/bin/env bash
# A program that logs by MLflow: the run finds it all. MLflow's own client is in no package of Debian;
# Python's HTTP client stands in for it, with the paths, members and headers that MLflow documents.
source "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || skip "python3 is not installed"

cat >client.py <<'P'
import base64, http.client, json, os, socket, sys, threading, time, urllib.parse

uri = urllib.parse.urlsplit(os.environ["MLFLOW_TRACKING_URI"])
run = os.environ["MLFLOW_RUN_ID"]
token = os.environ["MLFLOW_TRACKING_TOKEN"]
assert uri.scheme == "http" and uri.hostname == "127.0.0.1", uri
assert run == os.environ["MLP_RUN_ID"]
# As MLflow's client does it: a user's name and password come before the token.
basic = f'{os.environ["MLFLOW_TRACKING_USERNAME"]}:{os.environ["MLFLOW_TRACKING_PASSWORD"]}'
auth = "Basic " + base64.standard_b64encode(basic.encode()).decode()
api = "/api/2.0/mlflow/"

def call(verb, path, body=None, wanted=200, connection=None, headers=()):
    own = connection or http.client.HTTPConnection(uri.hostname, uri.port, timeout=10)
    given = {"Authorization": auth, "Content-Type": "application/json", **dict(headers)}
    data = body if body is None or isinstance(body, bytes) else json.dumps(body)
    own.request(verb, path, data, given)
    answer = own.getresponse()
    text = answer.read()
    assert answer.status == wanted, (path, answer.status, text)
    return json.loads(text) if text.startswith(b"{") else text

def start_run():
    """What mlflow.start_run() asks with MLFLOW_RUN_ID set."""
    named = urllib.parse.urlencode({"experiment_name": os.environ["MLFLOW_EXPERIMENT_NAME"]})
    experiment = call("GET", api + "experiments/get-by-name?" + named)["experiment"]
    got = call("GET", api + "runs/get?" + urllib.parse.urlencode({"run_uuid": run, "run_id": run}))
    info = got["run"]["info"]
    assert info["lifecycle_stage"] == "active" and info["run_id"] == run
    assert info["experiment_id"] == experiment["experiment_id"]
    updated = call("POST", api + "runs/update", {"run_id": run, "run_uuid": run, "status": "RUNNING"})
    assert updated["run_info"]["status"] == "RUNNING"
    return info

def main():
    info = start_run()
    now = int(time.time() * 1000)
    call("POST", api + "runs/log-parameter", {"run_uuid": run, "run_id": run, "key": "optimizer", "value": "adam"})
    call("POST", api + "runs/set-tag", {"run_uuid": run, "run_id": run, "key": "stage", "value": "dev"})
    connection = http.client.HTTPConnection(uri.hostname, uri.port, timeout=10)
    for step in range(3):
        call("POST", api + "runs/log-metric",
             {"run_uuid": run, "run_id": run, "key": "loss", "value": 1 / (step + 1), "timestamp": now + step, "step": step},
             connection=connection)
    call("POST", api + "runs/log-metric", {"run_id": run, "key": "bad", "value": "NaN", "timestamp": str(now), "step": "0"})
    call("POST", api + "runs/log-batch", {"run_id": run,
         "metrics": [{"key": "acc", "value": 0.5, "timestamp": now, "step": 0}, {"key": "acc", "value": 0.75, "timestamp": now, "step": 1}],
         "params": [{"key": "depth", "value": "3"}], "tags": [{"key": "mlflow.source.name", "value": "client.py"}]})
    history = call("GET", api + f"metrics/get-history?run_id={run}&metric_key=loss")["metrics"]
    assert [point["step"] for point in history] == [0, 1, 2], history
    # log_artifact: the client copies to the folder that artifact_uri names.
    os.makedirs(info["artifact_uri"] + "/plots", exist_ok=True)
    with open(info["artifact_uri"] + "/plots/curve.txt", "w") as file:
        file.write("curve")
    call("PUT", "/api/2.0/mlflow-artifacts/artifacts/by-http/model.bin", b"x" * 100_000)
    listed = call("GET", api + f"artifacts/list?run_id={run}")["files"]
    assert [entry["path"] for entry in listed] == ["by-http", "plots"], listed
    # Nested runs are this run; a second experiment is this one.
    child = call("POST", api + "runs/create", {"experiment_id": "0", "start_time": now,
                 "tags": [{"key": "mlflow.parentRunId", "value": run}]})
    assert child["run"]["info"]["run_id"] == run
    # Who may not: no token, a name of the web, another run, what is not there.
    call("GET", api + f"runs/get?run_id={run}", wanted=401, headers={"Authorization": "Bearer no"})
    call("GET", api + f"runs/get?run_id={run}", wanted=403, headers={"Host": "rebound.example"})
    assert call("GET", api + "runs/get?run_id=other", wanted=404)["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert call("GET", api + "nothing", wanted=404)["error_code"] == "ENDPOINT_NOT_FOUND"
    call("PUT", "/api/2.0/mlflow-artifacts/artifacts/..%2Fspec.json", b"x", wanted=400)
    assert call("GET", "/health") == b"OK"
    # Bytes that are no request, and a client that says nothing, are nobody's trouble.
    for rubbish in (b"\x16\x03\x01\x02", b"POST /api/2.0/mlflow/runs/log-batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", b""):
        idle = socket.create_connection((uri.hostname, uri.port))
        idle.sendall(rubbish)
    # Many threads at once lose nothing.
    def log(name):
        own = http.client.HTTPConnection(uri.hostname, uri.port, timeout=10)
        for step in range(50):
            call("POST", api + "runs/log-metric", {"run_id": run, "key": name, "value": step, "timestamp": now, "step": step}, connection=own)
    threads = [threading.Thread(target=log, args=(f"t{i}",)) for i in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    call("POST", api + "runs/update", {"run_id": run, "status": "FINISHED", "end_time": str(now)})

if sys.argv[1:] == ["secret"]:
    call("POST", api + "runs/log-parameter", {"run_id": run, "key": "key", "value": "it is " + os.environ["HIDDEN"]})
elif sys.argv[1:] == ["print"]:
    print(uri.geturl(), token)
else:
    main()
P
cat >mlp.yaml <<'Y'
name: p
tasks:
  log: {run: python3 client.py, params: {lr: 0.1}}
  own: {run: 'test "$MLFLOW_TRACKING_URI" = http://team:5000 && test -z "${MLFLOW_TRACKING_TOKEN-}"', env: {MLFLOW_TRACKING_URI: "http://team:5000"}}
  proxy: {run: 'echo "$no_proxy $MLFLOW_EXPERIMENT_NAME ${MLFLOW_EXPERIMENT_ID-none}"'}
  secret: {run: python3 client.py secret, secrets: [HIDDEN]}
  print: {run: python3 client.py print}
Y
expect_exit 0 mlp train log
folder=.mlp/runs/$(ls .mlp/runs)
expect_exit 0 mlp runs show latest --json
[ "$(jq -c '[.metrics.loss, .metrics.acc, .metrics.t7, .params, .tags, .state]' <<<"$out")" = \
  '[0.3333333333333333,0.75,49,{"depth":3,"lr":0.1,"optimizer":"adam"},["stage=dev"],"succeeded"]' ] || fail "$out"
equals "$(jq -c '.warnings' <<<"$out")" "[]"
equals "$(cat "$folder/outs/plots/curve.txt")" curve
equals "$(stat -c %s "$folder/outs/by-http/model.bin")" 100000
equals "$(grep -c '"t[0-7]":' "$folder/metrics.jsonl")" 400
expect_exit 0 mlp runs ls --where "params.depth = 3 and metrics.acc > 0.7" --json
contains "$out" "$(basename "$folder")"

# A task that names a server of its own keeps it; proxies of the shell do not come between.
expect_exit 0 mlp train own
https_proxy=x http_proxy=http://proxy:3128 no_proxy=here MLFLOW_EXPERIMENT_ID=7 expect_exit 0 mlp train proxy
contains "$out$err" "here,127.0.0.1,localhost p none"

# Secrets are masked here too, and the token of a run is of no use after it.
printf 'kept-from-everyone' | expect_exit 0 mlp secret set HIDDEN
expect_exit 0 mlp train secret
expect_exit 0 mlp runs show latest --json
equals "$(jq -r .params.key <<<"$out")" "it is ***"
if grep -rq kept-from-everyone .mlp; then fail "a secret is in the project's folder"; fi
expect_exit 0 mlp train print
read -r uri _ <<<"$(grep -o 'http://127[^ ]* [a-z0-9]*' <<<"$out$err")"
python3 - "$uri" <<'P' || fail "the port is still open"
import sys, urllib.parse, socket
uri = urllib.parse.urlsplit(sys.argv[1])
with socket.socket() as s:
    sys.exit(s.connect_ex((uri.hostname, uri.port)) == 0)
P
