# Images to, from and between registries, and what skopeo and umoci say of the same images.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/registry_lib.sh"

start_registry one
one=$registry
echo hello >hello
head -c 3000000 /dev/urandom >noise
make_image app:v1 hello noise

# skopeo writes, we read; we write, skopeo and umoci read.
skopeo copy -q --dest-tls-verify=false "oci:$TEST_DIR/made:app:v1" "docker://$one/team/app:v1"
digest=$(digest_of --tls-verify=false "docker://$one/team/app:v1")
expect_exit 0 mlp image pull "$one/team/app:v1"
contains "$out" "$digest"
contains "$out" "moved 2 of 2 blobs"
expect_exit 0 mlp image pull "$one/team/app:v1"
contains "$out" "nothing to move"
store=$XDG_DATA_HOME/mlp/images
equals "$(digest_of "oci:$store:$one/team/app:v1")" "$digest"
expect_exit 0 mlp image push "$one/team/app:v1" "$one/other/app:v2"
equals "$(digest_of --tls-verify=false "docker://$one/other/app:v2")" "$digest"
umoci unpack --rootless --image "$store:$one/team/app:v1" "$TEST_DIR/unpacked" 2>/dev/null >&2 ||
  {
    # umoci knows no '/' in a name: by a copy of another name then.
    mlp image copy "$one/team/app:v1" "oci:$TEST_DIR/plain:app" >/dev/null
    umoci unpack --rootless --image "$TEST_DIR/plain:app" "$TEST_DIR/unpacked" >/dev/null
  }
cmp noise "$TEST_DIR/unpacked/rootfs/data/noise" || fail "umoci unpacks another file"

# Blobs of another repository are mounted, not sent: the log has one POST for each and no PUT.
contains "$(cat "$TEST_DIR/one.log")" "mount="
equals "$(grep -c 'PUT.*/v2/other/app/blobs' "$TEST_DIR/one.log" || true)" 0

# Looked at where it is.
expect_exit 0 mlp image inspect "docker://$one/team/app:v1" --json
equals "$(json 'd["digest"]' <<<"$out")" "$digest"
equals "$(json 'd["config"]["config"]["Env"][-1]' <<<"$out")" "COLOR=red"
expect_exit 0 mlp image history "$one/team/app:v1"
contains "$out" "2.9 MiB"
expect_exit 0 mlp image ls "docker://$one/other/app"
contains "$out" "v2"
expect_exit 4 mlp image inspect "docker://$one/other/app:v3"
contains "$err" "no image '$one/other/app:v3'"
expect_exit 4 mlp image pull "$one/none/app"

# Several platforms: one by default, all when asked, and an error that names them.
cat >index.py <<'PY'
import hashlib, json, sys, urllib.request
registry, repository = sys.argv[1:3]
base = f"http://{registry}/v2/{repository}"
def call(method, url, data, kind):
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    return urllib.request.urlopen(request)
def blob(data):
    location = call("POST", base + "/blobs/uploads/", b"", "application/octet-stream").headers["Location"]
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    call("PUT", location + "&digest=" + digest, data, "application/octet-stream")
    return digest
def manifest(document, name):
    data = json.dumps(document, indent=3).encode()
    call("PUT", f"{base}/manifests/{name}", data, document["mediaType"])
    return "sha256:" + hashlib.sha256(data).hexdigest(), len(data)
entries = []
for arch in ("amd64", "arm64"):
    layer = b"\0" * 1024 + arch.encode().ljust(512, b"\0") + b"\0" * 8704
    config = json.dumps({"os": "linux", "architecture": arch, "config": {}, "rootfs": {
        "type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    document = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": blob(config)},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar", "size": len(layer), "digest": blob(layer)}]}
    data = json.dumps(document, indent=3).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    manifest(document, digest)
    entries.append({"mediaType": document["mediaType"], "size": len(data), "digest": digest,
                    "platform": {"os": "linux", "architecture": arch}})
print(manifest({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
                "manifests": entries}, "latest")[0])
PY
index=$(python3 index.py "$one" multi)
expect_exit 0 mlp image pull --platform linux/arm64 "$one/multi"
expect_exit 0 mlp image inspect "$one/multi" --json
equals "$(json 'd["platform"]' <<<"$out")" linux/arm64
expect_exit 4 mlp image pull --platform linux/s390x "$one/multi"
contains "$err" "linux/amd64, linux/arm64"
expect_exit 0 mlp image pull --all-platforms "$one/multi"
contains "$out" "$index"
start_registry two
two=$registry
expect_exit 0 mlp image push --all-platforms "$one/multi" "$two/multi:both"
equals "$(skopeo inspect --raw --tls-verify=false "docker://$two/multi:both" | sha256sum | cut -c1-64)" \
  "${index#sha256:}"
# From registry to registry, and by digest.
expect_exit 0 mlp image copy --all-platforms "docker://$one/multi@$index" "docker://$two/again:x"
equals "$(skopeo inspect --raw --tls-verify=false "docker://$two/again:x" | sha256sum | cut -c1-64)" \
  "${index#sha256:}"

# What speaks of an image comes along; this registry has no referrers API, so by the tag scheme.
cat >referrer.py <<'PY'
import hashlib, json, os, sys
layout, subject = sys.argv[1:3]
index = json.load(open(f"{layout}/index.json"))
entry = next(e for e in index["manifests"] if e["digest"] == subject)
def put(data):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{layout}/blobs/sha256/{digest}", "wb").write(data)
    return {"digest": "sha256:" + digest, "size": len(data)}
sbom = put(b'{"spdxVersion": "SPDX-2.3"}')
manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "artifactType": "application/spdx+json",
  "config": {"mediaType": "application/vnd.oci.empty.v1+json", **put(b"{}")},
  "layers": [{"mediaType": "application/spdx+json", **sbom}],
  "subject": {k: entry[k] for k in ("mediaType", "digest", "size")}}
index["manifests"].append({"mediaType": manifest["mediaType"], "artifactType": manifest["artifactType"],
                           **put(json.dumps(manifest).encode())})
json.dump(index, open(f"{layout}/index.json", "w"))
PY
python3 referrer.py "$store" "$digest"
expect_exit 0 mlp image push "$one/team/app:v1" "$two/app:v1" --json
equals "$(json 'd["referrers"]' <<<"$out")" 1
contains "$(skopeo list-tags --tls-verify=false "docker://$two/app")" "sha256-${digest#sha256:}"
expect_exit 0 mlp image copy "docker://$two/app:v1" "oci:$TEST_DIR/with:app"
contains "$(cat "$TEST_DIR/with/index.json")" "application/spdx+json"
expect_exit 0 mlp image inspect "docker://$two/app:v1"
contains "$out" "application/spdx+json"

# Archives: what we write skopeo reads, what skopeo writes we read.
for format in oci-archive docker-archive; do
  mlp image export "$one/team/app:v1" "$format.tar" --format "$format" >/dev/null
  skopeo copy -q "$format:$format.tar" "dir:$TEST_DIR/dir-$format"
  skopeo copy -q "oci:$TEST_DIR/made:app:v1" "$format:theirs-$format.tar:app:v1"
  expect_exit 0 mlp image import "theirs-$format.tar" "from-$format"
  mlp image copy "from-$format" "oci:$TEST_DIR/again-$format:x" >/dev/null
  rm -rf "$TEST_DIR/unpacked"
  umoci unpack --rootless --image "$TEST_DIR/again-$format:x" "$TEST_DIR/unpacked" >/dev/null
  cmp noise "$TEST_DIR/unpacked/rootfs/data/noise" || fail "$format: another file"
done
equals "$(digest_of oci-archive:oci-archive.tar)" "$digest"

# A blob that the registry's own collection took away is sent again.
rm -rf "$TEST_DIR/two/docker/registry/v2/blobs" "$TEST_DIR/two/docker/registry/v2/repositories/app"
expect_exit 0 mlp image push "$one/team/app:v1" "$two/app:v1"
equals "$(digest_of --tls-verify=false "docker://$two/app:v1")" "$digest"
