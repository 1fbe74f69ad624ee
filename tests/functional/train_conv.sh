#!/usr/bin/env bash
# Convolutions from mlp.yaml to a model that predicts: trained, stopped, shared by ranks, and refused
# where they make no sense.
source "$(dirname "$0")/lib.sh"

mlp init digits --template image-classifier >/dev/null 2>&1
cd digits || exit 1
# 8x8 pixels, then 4x4, then 2x2.
sed -i 's/^        hidden: .*/        conv:\n          - {filters: 16, pool: max, dropout: 0}\n          - {filters: 32, kernel_size: [3, 2], pool: average, batch_norm: true, dropout: 0.1}\n        hidden: [64]/; s/patience: 15/patience: 0/' mlp.yaml
digest_of() { mlp model show "digits@$1" --json | jq -r .digest; }
ended() { mlp runs ls --all --state succeeded --json | grep -q "\"$1\""; }
has_checkpoint() { [ -n "$(ls ".mlp/runs/$1/checkpoints" 2>/dev/null)" ]; }
supervisor_of() { sed -n 's/.*"supervisor":{.*"pid":\([0-9]*\).*/\1/p' ".mlp/runs/$1/events.jsonl" | tail -1; }

# It learns, and the model alone, given the images as they are, is as good as the trainer says.
expect_exit 0 mlp train -p epochs=12 -p lr=0.005
accuracy=$(mlp runs ls --json | jq '.runs[0].metrics.test_accuracy')
awk "BEGIN { exit !($accuracy > 0.95) }" || fail "test_accuracy $accuracy"
equals "$(mlp model show digits@1 --json | jq -c '.signature.inputs[0].shape')" "[-1,8,8]"
expect_exit 0 mlp predict digits@1 data/t10k-images-idx3-ubyte.gz
zcat data/t10k-labels-idx1-ubyte.gz | tail -c +9 | od -An -v -tu1 -w1 | tr -d ' ' >labels
right=$(tail -n +2 <<<"$out" | cut -d, -f1 | paste -d' ' - labels | awk '$1 == $2' | wc -l)
awk "BEGIN { d = $right / 359 - $accuracy; exit !(d * d < 1e-8) }" || fail "$right of 359, not $accuracy"

# Killed and resumed: the same bits as if it had been left alone.
# Long enough to be killed on a quick machine too.
expect_exit 0 mlp train -p epochs=60
reference=$(digest_of latest)
run=$(mlp train -d -p epochs=60)
wait_until 60 has_checkpoint "$run"
kill -9 "$(supervisor_of "$run")" 2>/dev/null || true
# Refused until the killed supervisor has gone, and where the run had ended before.
goes_on() { mlp train -d --resume "$run" >/dev/null 2>&1; }
wait_until 60 goes_on
wait_until 120 ended "$run"
contains "$(mlp runs logs "$run")" "resumes from a checkpoint"
equals "$(digest_of latest)" "$reference"

# Ranks: the same model each time.
sed -i 's/^    trainer:/&\n      devices: 2/' mlp.yaml
expect_exit 0 mlp train -p epochs=2
first=$(digest_of latest)
expect_exit 0 mlp train -p epochs=2
equals "$(digest_of latest)" "$first"

# A window that does not fit is known once the images are read.
sed -i 's/kernel_size: \[3, 2\]/kernel_size: 5, padding: valid/' mlp.yaml
expect_exit 10 mlp train -p epochs=2
contains "$err" "the kernel_size of convolution 2, 5x5, does not fit into the 4x4 that it is given"
# What mlp.yaml alone tells is told with its place.
sed -i 's/kernel_size: 5/kernel_size: 50/' mlp.yaml
expect_exit 3 mlp train
contains "$err" "mlp.yaml:$(grep -n 'kernel_size: 50' mlp.yaml | cut -d: -f1):"
contains "$err" "'kernel_size' must be a whole number from 1 to 31, not '50'"
cd ..

# Tables have no height and width: said at once where mlp.yaml tells, else when the files are seen.
mlp init table --template tabular-classifier >/dev/null 2>&1
cd table || exit 1
sed -i 's/network: {/&conv: [{filters: 4}], /' mlp.yaml
expect_exit 3 mlp train
contains "$err" "is for images"
contains "$err" "mlp.yaml:$(grep -n 'conv:' mlp.yaml | cut -d: -f1):"
