# Every template trains as it is, offline, and as well as its README says.
source "$(dirname "$0")/lib.sh"

# train TEMPLATE: makes the project, trains, leaves the run's record in $out.
train() {
  expect_exit 0 mlp init "$1" --template "$1"
  expect_exit 0 mlp -C "$1" data add
  expect_exit 0 mlp -C "$1" train --json
  equals "$(jq -r .state <<<"$out")" succeeded
}
# metric_at_least NAME VALUE
metric_at_least() {
  jq -e --arg name "$1" --argjson least "$2" '.metrics[$name] >= $least' <<<"$out" >/dev/null ||
    fail "$1 is below $2: $(jq -c .metrics <<<"$out")"
}

train image-classifier
metric_at_least test_accuracy 0.95
equals "$(jq -r '.datasets[].digest[:7]' <<<"$out")" sha256:

train tabular-classifier
metric_at_least test_accuracy 0.9

train tabular-regressor
metric_at_least test_r2 0.4

# The user's program: its metrics, its result, another value of a param.
train custom
jq -e '.metrics.loss < 0.05' <<<"$out" >/dev/null || fail "loss: $(jq -c .metrics <<<"$out")"
contains "$(cat "$(jq -r .folder <<<"$out")"/outs/model/line.txt)" "petal_width = 0.41"
expect_exit 0 mlp -C custom train --json --param epochs=10
equals "$(jq -r .params.epochs <<<"$out")" 10
expect_exit 2 mlp -C custom train --param epoch=10
contains "$err" "did you mean 'epochs'?"
# A value is never more than a value.
# shellcheck disable=SC2016
mlp -C custom train --param 'epochs=$(touch stolen); touch stolen' >/dev/null 2>&1 || true
[ ! -e custom/stolen ] || fail "a param was run as a program"
