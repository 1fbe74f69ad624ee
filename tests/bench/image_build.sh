#!/usr/bin/env bash
# Builds: again after an edit of code, beside buildah on the same base, and with nothing changed; a
# large layer, compressed and digested, beside gzip on one thread; the memory of that. MIB sets the
# size of the large layer.
source "$(dirname "$0")/lib.sh"
source "$MLP_SOURCE/tests/functional/image_lib.sh"
needs buildah busybox gzip jq bc
mib=${MIB:-2048}
TEST_DIR=${TMPDIR:-/tmp}/mlp-build-bench.$$ # buildah wants small letters
trap 'rm -rf "$TEST_DIR"' EXIT
export HOME=$TEST_DIR/home XDG_CACHE_HOME=$TEST_DIR/cache SOURCE_DATE_EPOCH=1700000000
mkdir -p "$HOME" "$TEST_DIR/p/src"
make_base "$TEST_DIR/base"
cd "$TEST_DIR/p"
for i in $(seq 50); do seq "$i" 2000 >"src/module_$i.py"; done
cat >mlp.yaml <<YAML
name: p
image:
  base: oci:$TEST_DIR/base
  run: [mkdir -p /opt/tool]
  files: [src]
  cmd: [/bin/sh]
YAML
printf 'FROM oci:%s\nRUN mkdir -p /opt/tool\nCOPY src /src/src\nCMD ["/bin/sh"]\n' \
  "$TEST_DIR/base" >Dockerfile
bud() {
  buildah --root "$TEST_DIR/b" --runroot "$TEST_DIR/br" --storage-driver vfs bud --isolation chroot \
    --layers -q -t p . >/dev/null 2>"$TEST_DIR/bud.err"
}
"$MLP" build -q >/dev/null
bud || skip "buildah does not work here: $(tail -1 "$TEST_DIR/bud.err")"
for i in $(seq 10); do
  echo "# $i" >>src/module_7.py
  seconds "$MLP" build -q 2>/dev/null | tail -1 >>"$TEST_DIR/edit"
  sleep 0.1
  "$MLP" build -q >/dev/null # takes note of the files, which were too young before
  seconds "$MLP" build -q | tail -1 >>"$TEST_DIR/nothing"
done
for i in 1 2 3; do
  echo "# bud $i" >>src/module_7.py
  seconds bud >>"$TEST_DIR/bud"
done
awk -v a="$(median <"$TEST_DIR/edit")" -v b="$(median <"$TEST_DIR/bud")" \
  -v c="$(median <"$TEST_DIR/nothing")" 'BEGIN {
  printf "after an edit: mlp %.0f ms, buildah bud %.0f ms, ratio %.0f; nothing changed: %.0f ms\n",
         a * 1000, b * 1000, b / a, c * 1000 }'

mkdir -p "$TEST_DIR/large/data"
cd "$TEST_DIR/large"
printf 'name: large\nimage: {files: [data]}\n' >mlp.yaml
# Programs and libraries, each copy with a block of its own kind in between.
part=0
while [ "$(du -sm data | cut -f1)" -lt "$mib" ]; do
  part=$((part + 1))
  find /usr/lib/x86_64-linux-gnu /usr/bin -type f -size +100k -size -40M -print0 2>/dev/null |
    sort -z | head -z -n $((part * 200)) | tail -z -n 200 |
    xargs -0 cat 2>/dev/null | head -c 256M >"data/part-$part" || true
  [ -s "data/part-$part" ] || { rm "data/part-$part"; break; }
done
i=0
while [ "$(du -sm data | cut -f1)" -lt "$mib" ]; do
  i=$((i + 1))
  { head -c $((i * 1000)) /dev/urandom; cat "data/part-$((i % (part - 1) + 1))"; } >"data/again-$i"
done
size=$(du -sm data | cut -f1)
tar -C data -cf - . >/dev/null # from memory, for both
command -v /usr/bin/time >/dev/null || skip "time is not installed"
ours=$(seconds /usr/bin/time -f %M -o "$TEST_DIR/memory" "$MLP" build -q --json 2>/dev/null | tail -1)
layer=.mlp/images/blobs/sha256/$(jq -r '.manifests[0].digest' .mlp/images/index.json | cut -d: -f2)
bytes=$(jq -r '.layers[0].size' "$layer")
theirs=$(seconds sh -c "tar -C data -cf - . | gzip -6 | wc -c >$TEST_DIR/gzip.bytes" | tail -1)
awk -v n="$size" -v a="$ours" -v b="$theirs" -v m="$(tail -1 "$TEST_DIR/memory")" -v x="$bytes" \
  -v y="$(cat "$TEST_DIR/gzip.bytes")" 'BEGIN {
  printf "layer of %d MiB: mlp %.1f s (%.0f MiB/s), gzip -6 %.1f s (%.0f MiB/s), ratio %.1f; ", n, a,
         n / a, b, n / b, b / a
  printf "size %.2f of gzip%cs; memory %d MiB\n", x / y, 39, m / 1024 }'
