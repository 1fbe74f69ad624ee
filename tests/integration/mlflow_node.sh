#!/usr/bin/env bash
# A client of MLflow that is not ours, `mlflow` of the npm registry, in a run. (MLflow's own, in Python,
# is in no package of Debian.)
source "$(dirname "$0")/../functional/lib.sh"
command -v node >/dev/null && command -v npm >/dev/null || skip "node and npm are not installed"
timeout 60 npm install --silent --no-audit --no-fund --ignore-scripts mlflow@2.0.7 >npm.log 2>&1 ||
  skip "mlflow@2.0.7 cannot be had from the npm registry"

cat >train.js <<'J'
const MLflow = require('mlflow')
const assert = require('assert')
const run_id = process.env.MLFLOW_RUN_ID
const {Experiments, Runs, Metrics, Artifacts} = new MLflow({
  endpoint: process.env.MLFLOW_TRACKING_URI,
  headers: {Authorization: 'Bearer ' + process.env.MLFLOW_TRACKING_TOKEN},
})
async function main() {
  const {experiments} = await Experiments.list()
  assert.equal(experiments[0].name, process.env.MLFLOW_EXPERIMENT_NAME)
  for (let step = 0; step < 3; ++step)
    await Runs.logMetric({run_id, key: 'loss', value: 1 / (step + 1), timestamp: Date.now(), step})
  await Runs.logParameter({run_id, key: 'depth', value: '3'})
  await Runs.setTag({run_id, key: 'stage', value: 'dev'})
  await Runs.logBatch({run_id, metrics: [{key: 'acc', value: 0.5, timestamp: Date.now(), step: 0}], params: [], tags: []})
  const {metrics} = await Metrics.getHistory({run_id, metric_key: 'loss'})
  assert.deepEqual(metrics.map((point) => point.step), [0, 1, 2])
  const {run} = await Runs.get({run_id})
  assert.deepEqual(run.data.params, [{key: 'depth', value: '3'}])
  require('fs').writeFileSync(process.env.MLP_OUT_DIR + '/model.txt', 'weights')
  const {files} = await Artifacts.list({run_id})
  assert.equal(files[0].file_size, 7)
}
main().catch((error) => { console.error(error); process.exit(1) })
J
echo 'name: p' >mlp.yaml
expect_exit 0 mlp run -- node train.js
expect_exit 0 mlp runs show latest --json
equals "$(jq -c '[.metrics.loss, .metrics.acc, .params, .tags]' <<<"$out")" '[0.3333333333333333,0.5,{"depth":3},["stage=dev"]]'
