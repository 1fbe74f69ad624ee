#!/usr/bin/env bash
# Images and a registry on this machine: mlp beside skopeo, taking turns. How long it takes to push an
# image of which one file has changed (four layers, the last one 2 KiB), and a large incompressible layer
# there and back. MIB chooses its size.
source "$(dirname "$0")/lib.sh"
needs docker-registry skopeo python3
mib=${MIB:-1024} rounds=${ROUNDS:-3} changes=${CHANGES:-15}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-image-bench.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$dir"' EXIT
export HOME=$dir XDG_DATA_HOME=$dir/share
mkdir -p "$dir/.config/containers"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$dir/.config/containers/policy.json"
cat >"$dir/registry.yml" <<YML
version: 0.1
log: {level: info}
storage: {filesystem: {rootdirectory: $dir/registry}}
http: {addr: 127.0.0.1:0, secret: x}
YML
docker-registry serve "$dir/registry.yml" >"$dir/log" 2>&1 &
until grep -q 'listening on' "$dir/log"; do sleep 0.05; done
registry=127.0.0.1:$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' "$dir/log" | head -1)
store=$dir/share/mlp/images

# image LAYOUT NAME FILE...: an image of one layer for each file, the file's bytes as they are.
image() {
  python3 - "$@" <<'PY'
import hashlib, json, os, shutil, sys
layout, name, files = sys.argv[1], sys.argv[2], sys.argv[3:]
os.makedirs(f"{layout}/blobs/sha256", exist_ok=True)
open(f"{layout}/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
def blob(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(file.read()).hexdigest()
    shutil.copyfile(path, f"{layout}/blobs/sha256/{digest}")
    return {"digest": "sha256:" + digest, "size": os.path.getsize(path)}
def put(record):
    path = f"{layout}/record"
    open(path, "w").write(json.dumps(record))
    out = blob(path)
    os.remove(path)
    return out
layers = [{"mediaType": "application/vnd.oci.image.layer.v1.tar", **blob(f)} for f in files]
config = put({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {
    "type": "layers", "diff_ids": [l["digest"] for l in layers]}})
kind = "application/vnd.oci.image.manifest.v1+json"
manifest = put({"schemaVersion": 2, "mediaType": kind, "layers": layers,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config}})
try:
    entries = json.load(open(f"{layout}/index.json"))["manifests"]
except OSError:
    entries = []
key = "org.opencontainers.image.ref.name"
entries = [e for e in entries if e["annotations"][key] != name]
entries.append({"mediaType": kind, **manifest, "annotations": {key: name}})
json.dump({"schemaVersion": 2, "manifests": entries}, open(f"{layout}/index.json", "w"))
PY
}

for size in 40 20 5; do head -c $((size << 20)) /dev/urandom >"$dir/layer$size"; done
ours() { "$MLP" image push app:latest "$registry/ours:latest" >/dev/null; }
theirs() { skopeo copy -q --dest-tls-verify=false "oci:$store:app:latest" "docker://$registry/theirs:latest"; }
change() {
  head -c 2048 /dev/urandom >"$dir/small"
  image "$store" app:latest "$dir"/layer40 "$dir"/layer20 "$dir"/layer5 "$dir"/small
}
change
ours
theirs
for _ in $(seq "$changes"); do
  change
  seconds ours >>"$dir/push_ours"
  seconds theirs >>"$dir/push_theirs"
done
seconds ours >"$dir/nothing"
awk -v a="$(median <"$dir/push_ours")" -v b="$(median <"$dir/push_theirs")" -v c="$(cat "$dir/nothing")" 'BEGIN {
  printf "push of a one-file change: mlp %.0f ms, skopeo %.0f ms, ratio %.1f; nothing changed: mlp %.0f ms\n",
         a * 1000, b * 1000, b / a, c * 1000 }'

head -c $((mib << 20)) /dev/urandom >"$dir/large"
image "$store" big:latest "$dir/large"
big_ours() { "$MLP" image push big:latest "$registry/$1:latest" >/dev/null; }
big_theirs() { skopeo copy -q --dest-tls-verify=false "oci:$store:big:latest" "docker://$registry/$1:latest"; }
pull_ours() { XDG_DATA_HOME=$dir/back "$MLP" image pull "$registry/$1:latest" >/dev/null; }
pull_theirs() { skopeo copy -q --src-tls-verify=false "docker://$registry/$1:latest" "oci:$dir/back:x"; }
clean() {
  rm -rf "$dir/registry/docker/registry/v2/repositories" "$dir/registry/docker/registry/v2/blobs" "$dir/back"
  sync
}
for round in $(seq "$rounds"); do
  clean
  seconds big_theirs "b$round" >>"$dir/to_theirs"
  rm -rf "$dir/back"
  sync
  seconds pull_theirs "b$round" >>"$dir/from_theirs"
  clean
  seconds big_ours "a$round" >>"$dir/to_ours"
  sync
  seconds pull_ours "a$round" >>"$dir/from_ours"
done
rates push "$mib" skopeo "$dir/to_ours" "$dir/to_theirs"
rates pull "$mib" skopeo "$dir/from_ours" "$dir/from_theirs"
