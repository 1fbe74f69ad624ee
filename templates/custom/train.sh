#!/bin/sh
# Fits petal_width = a * petal_length + b by gradient descent. It stands for your own program, in any
# language: read the data, append metrics as JSON lines, leave results in the output folder.
#   usage: sh train.sh EPOCHS LEARNING_RATE
set -eu
epochs=$1
rate=$2
data=${MLP_DATA_IRIS:-data/iris.csv}  # a dataset of mlp.yaml: MLP_DATA_ and its name
out=${MLP_OUT_DIR:-out}               # what lies here when the run ends is kept
metrics=${MLP_METRICS:-/dev/stdout}   # one JSON object a line
mkdir -p "$out/model"

awk -F, -v epochs="$epochs" -v rate="$rate" -v metrics="$metrics" '
  NR > 1 { n++; x[n] = $3; y[n] = $4 }
  END {
    for (epoch = 1; epoch <= epochs; epoch++) {
      da = db = loss = 0
      for (i = 1; i <= n; i++) {
        error = a * x[i] + b - y[i]
        loss += error * error / n
        da += 2 * error * x[i] / n
        db += 2 * error / n
      }
      a -= rate * da
      b -= rate * db
      if (epoch % 10 == 0 || epoch == epochs) {
        printf "{\"step\": %d, \"loss\": %.6f}\n", epoch, loss >> metrics
        fflush(metrics)
      }
    }
    printf "petal_width = %.4f * petal_length %+.4f\n", a, b
  }' "$data" >"$out/model/line.txt"
cat "$out/model/line.txt"
