# `mlp predict` with a model file: every format, blanks, broken rows named by line, bounded memory.
source "$(dirname "$0")/lib.sh"
MODELS=$MLP_SOURCE/tests/data/onnx
species() { mlp predict --file "$MODELS/species.onnx" "$@"; }

# CSV: any order of columns, one that the model does not use, CRLF, quotes, a blank.
printf 'id,colour,width,length\r\n1,"blue",1,3\r\n2,blue,1,1\r\n3,red,?,\r\n' >rows.csv
expect_exit 0 species rows.csv
equals "$(head -1 <<<"$out")" "label,probability"
equals "$(tail -n +2 <<<"$out" | cut -d, -f1 | tr '\n' ' ')" "tall short tall "
contains "$err" "not used by the model: id"
expected=$out

# The same rows in every other way.
printf '3,1,blue\n1,1,blue\nNA,,red\n' >headerless.csv
expect_exit 0 species headerless.csv
equals "$out" "$expected"
tr , '\t' <rows.csv >rows.tsv
expect_exit 0 species rows.tsv --delimiter tab
equals "$out" "$expected"
cat >rows.jsonl <<'JSON'
{"length": 3, "width": 1, "colour": "blue", "id": 1}
{"length": 1, "width": [1], "colour": "blue"}
{"length": null,
 "width": null, "colour": "red"}
JSON
expect_exit 0 species rows.jsonl
equals "$out" "$expected"
jq -s . rows.jsonl >rows.json
expect_exit 0 species rows.json
equals "$out" "$expected"
expect_exit 0 species - <rows.json
equals "$out" "$expected"
gzip -k rows.csv
expect_exit 0 species rows.csv.gz
equals "$out" "$expected"
expect_exit 0 species < <(cat rows.csv.gz)
equals "$out" "$expected"
cat >request.json <<'JSON'
{"inputs": [
  {"name": "length", "datatype": "FP32", "shape": [3, 1], "data": [3, 1, null]},
  {"name": "width", "datatype": "FP32", "shape": [3, 1], "data": [1, 1, null]},
  {"name": "colour", "datatype": "BYTES", "shape": [3, 1], "data": ["blue", "blue", "red"]}]}
JSON
expect_exit 0 species request.json
equals "$out" "$expected"

# JSON out, a record a line.
expect_exit 0 species rows.csv --json
equals "$(jq -r '.version' <<<"$out" | tr '\n' ' ')" "1 1 1 "
equals "$(jq -r '.label' <<<"$out" | tr '\n' ' ')" "tall short tall "
equals "$(jq -r '.probabilities | length' <<<"$out" | sort -u)" 2
expect_exit 0 species rows.csv --output jsonl --quiet
equals "$(jq -r '.label' <<<"$out" | tr '\n' ' ')" "tall short tall "
equals "$err" ""
expect_exit 0 species rows.csv --all
equals "$(head -1 <<<"$out")" "label,probabilities[0],probabilities[1]"

# Images: IDX, plain and gzip, and one CSV row an image.
printf '\0\0\10\3\0\0\0\2\0\0\0\2\0\0\0\2\1\2\3\4\377\377\377\377' >images
expect_exit 0 mlp predict --file "$MODELS/pixels.onnx" images
equals "$(tail -n 1 <<<"$out")" 4
gzip -k images
expect_exit 0 mlp predict --file "$MODELS/pixels.onnx" images.gz
equals "$(tail -n 1 <<<"$out")" 4
printf 'a,b,c,d\n255,255,255,255\n' >image.csv
expect_exit 0 mlp predict --file "$MODELS/pixels.onnx" image.csv
equals "$(tail -n 1 <<<"$out")" 4

# What is wrong is said with its line, and the exit code is 3.
printf 'length,width,colour\n3,1,blue\n3,wide,blue\n' >bad.csv
expect_exit 3 species bad.csv
contains "$err" "'bad.csv' line 3, column 2 ('width'): 'wide' is not a number"
printf 'length,width,colour\n3,1\n' >bad.csv
expect_exit 3 species bad.csv
contains "$err" "'bad.csv' line 2: 2 fields, not 3"
printf 'lenght,width,colour\n3,1,blue\n' >bad.csv
expect_exit 3 species bad.csv
contains "$err" "'bad.csv' has no column 'length'"
contains "$err" "hint: is it 'lenght'?"
printf '1,2\n' >bad.csv
expect_exit 3 species bad.csv
contains "$err" "the model takes 3 columns: length, width, colour"
printf '{"length": 1, "width": 1}\n' >bad.json
expect_exit 3 species bad.json
contains "$err" "'bad.json' line 1 has no 'colour'"
printf '{"length": 1, "width": 1, "colour": "red"}\n\n{"length": "long", "width": 1, "colour": ""}' >bad.json
expect_exit 3 species bad.json
contains "$err" "'bad.json' line 3, 'length'"
printf '[{"length": 1' >bad.json
expect_exit 3 species bad.json
contains "$err" "never ends"
head -c 22 images >short
expect_exit 8 mlp predict --file "$MODELS/pixels.onnx" short
contains "$err" "'short' ends early"
printf '300,0,0,0\n' >image.csv
expect_exit 3 mlp predict --file "$MODELS/pixels.onnx" image.csv
expect_exit 4 species nothing.csv
expect_exit 4 mlp predict --file nothing.onnx rows.csv
expect_exit 2 species rows.csv --format xml
expect_exit 2 species rows.csv --output xml
expect_exit 4 mlp predict digits rows.csv # no project here

# The device: what is not there is an error that names it.
expect_exit 0 species rows.csv --device cpu
equals "$out" "$expected"
expect_exit 2 species rows.csv --device tpu
contains "$err" "unknown device 'tpu'"
contains "$err" "auto, cpu, cuda or cuda:N"
expect_exit 2 species rows.csv --device cuda:
expect_exit 7 species rows.csv --device cuda:999
# In the words of a build with CUDA, or without.
no_device() { case "$err" in *"there is no"* | *"mlp was built without CUDA"*) ;; *) fail "$err" ;; esac; }
no_device
contains "$err" "hint: "
if [ "$(mlp gpu ls --json | jq '.gpus | length')" = 0 ]; then
  expect_exit 7 species rows.csv --device cuda
  no_device
  # Where none was asked for, the CPU does it; a person is told why, a script is not.
  said="the model runs on the CPU: "
  expect_exit 0 species rows.csv
  lacks "$err" "$said"
  expect_exit 0 species rows.csv -v
  equals "$out" "$expected"
  reason=$(grep -F "$said" <<<"$err") || fail "no '$said' in: $err"
  case "$reason" in
    "$said"*"NVIDIA driver"* | "$said"*"mlp was built without CUDA"*) ;;
    *) fail "$reason" ;;
  esac
  expect_exit 0 species rows.csv -v --device cpu
  lacks "$err" "$said"
  if command -v script >/dev/null; then
    contains "$(script -qec "'$MLP' predict --file '$MODELS/species.onnx' rows.csv" /dev/null)" "$reason"
  fi
fi

# A million rows, in no more memory than a few.
awk 'BEGIN { print "length,width,colour"; for (i = 0; i < 1000000; ++i) print i % 7 ",3,blue" }' >many.csv
limit_memory() { [ -n "${MLP_SANITIZE:-}" ] || ulimit -v 1000000; } # a sanitizer maps terabytes
rows=$( (limit_memory; "$MLP" predict --device cpu --file "$MODELS/species.onnx" many.csv |
  tail -n +2 | wc -l) ) # a GPU's driver maps terabytes, too
equals "$rows" 1000000
