#!/usr/bin/env bash
# Curves of metrics, in a pipe, as SVG and as PNG.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  train:
    params: {lr: 0.1, extra: 0}
    run: |
      for i in 1 2 3 4 5 6 7 8; do
        echo "{\"step\": $i, \"loss\": $((100 / i)), \"<odd> & \\\"name\\\"\": $i}" >> "$MLP_METRICS"
      done
      if [ ${params.extra} = 1 ]; then echo '{"bonus": 1}' >> "$MLP_METRICS"; fi
YAML
mlp train -q >/dev/null
mlp train -q --param lr=0.5 --param extra=1 >/dev/null
mapfile -t ids < <(mlp runs ls --sort created --json | jq -r '.runs[].run')

# In a pipe: 80 x 24 with a line left for the prompt, no escapes, axes and a legend.
expect_exit 0 mlp plot loss "${ids[@]}"
[ "$(wc -l <"$TEST_DIR/out")" -le 23 ] || fail "higher than a terminal"
[ "$(awk '{ if (length($0) > most) most = length($0) } END { print most }' "$TEST_DIR/out")" -le 240 ] ||
  fail "wider than a terminal" # bytes: three a character
lacks "$out" $'\e'
contains "$out" "└"
contains "$out" "a  ${ids[0]} extra=0 lr=0.1"
contains "$out" "b  ${ids[1]} extra=1 lr=0.5"
equals "$(mlp plot loss latest | head -1)" loss
expect_exit 0 env LC_ALL=C "$MLP" plot loss "${ids[@]}" --width 40 --height 12
if LC_ALL=C grep -q '[^ -~]' "$TEST_DIR/out"; then fail "not ASCII: $out"; fi
[ "$(wc -L <"$TEST_DIR/out")" -le 40 ] || fail "wider than asked for"
[ "$(wc -l <"$TEST_DIR/out")" -le 12 ] || fail "higher than asked for"
expect_exit 0 mlp plot loss latest --ascii
lacks "$out" "└"

# With colour only where it is wanted.
contains "$(MLP_COLOR=always mlp plot loss "${ids[@]}")" $'\e[36m'
lacks "$(MLP_COLOR=always NO_COLOR=1 mlp plot loss "${ids[@]}" --ascii | tail -1)" $'\e[1m'

# SVG: well-formed for any name of a metric.
expect_exit 0 mlp plot '<odd> & "name"' "${ids[@]}" --svg odd.svg
equals "$out" ""
contains "$(cat odd.svg)" "&lt;odd&gt; &amp; &quot;name&quot;"
if command -v xmllint >/dev/null; then
  xmllint --noout odd.svg || fail "not well-formed"
  equals "$(xmllint --xpath 'count(//*[local-name()="path"][@stroke-width])' odd.svg)" 4
fi
expect_exit 4 mlp plot loss latest --svg no/such/folder/a.svg

# By the name of the file; PNG as another program reads it.
expect_exit 0 mlp plot loss "${ids[@]}" --out loss.svg
mlp plot loss "${ids[@]}" --svg same
cmp loss.svg same || fail "--out and --svg differ"
expect_exit 0 mlp plot loss "${ids[@]}" -o loss.PNG --width 640 --height 400
contains "$err" "wrote loss.PNG"
if command -v file >/dev/null; then
  contains "$(file loss.PNG)" "PNG image data, 640 x 442, 8-bit/color RGB"
fi
python3 - <<'P' || fail "not the picture that it should be"
import struct, zlib
data = open("loss.PNG", "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
at, parts = 8, {}
while at < len(data):
    length, = struct.unpack(">I", data[at:at + 4])
    kind, body = data[at + 4:at + 8], data[at + 8:at + 8 + length]
    assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0]
    parts[kind] = body
    at += 12 + length
width, height = struct.unpack(">II", parts[b"IHDR"][:8])
rows = zlib.decompress(parts[b"IDAT"])
assert len(rows) == height * (3 * width + 1)
starts = (y * (3 * width + 1) + 1 + 3 * x for y in range(height) for x in range(width))
pixels = {rows[at:at + 3] for at in starts}
assert {b"\x00\x72\xb2", b"\xd5\x5e\x00", b"\xff\xff\xff", b"\x33\x33\x33"} <= pixels
P
expect_exit 2 mlp plot loss latest --out loss.jpg
contains "$err" ".png or .svg"
expect_exit 2 mlp plot loss latest --out a.png --svg a.svg

# The points themselves.
equals "$(mlp plot loss "${ids[0]}" --json | jq -c '[.x, .series[0].points[0], (.series[0].points | length)]')" \
  '["step",[1,100],8]'

# What is not there.
expect_exit 4 mlp plot los latest
contains "$err" "did you mean 'loss'?"
expect_exit 0 mlp plot bonus "${ids[@]}"
contains "$err" "run '${ids[0]}' has no metric 'bonus'"
expect_exit 4 mlp plot loss no-such-run
expect_exit 2 mlp plot loss latest --width 5
contains "$(mlp __complete plot '')" "loss"
contains "$(mlp __complete plot loss '')" "${ids[0]}"
