# The local images: what is written validates against OCI's own schemas, names and digests find it,
# archives bring it elsewhere, and what no name needs goes.
source "$(dirname "$0")/lib.sh"
export XDG_DATA_HOME=$HOME/.local/share

# An image as another tool would write it, in a docker-archive.
mkdir -p files/a
python3 - <<'PY'
import hashlib, io, json, tarfile
def tar(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()
layers = [tar([("etc/one", b"1\n")]), tar([("etc/two", b"2\n" * 1000)])]
config = json.dumps({"architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
    "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh", "-c", "echo a b"], "Labels": {"x": "\x1b[31my"}},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(l).hexdigest() for l in layers]},
    "history": [{"created_by": "one"}, {"created_by": "ENV x", "empty_layer": True}, {"created_by": "two"}]}).encode()
manifest = json.dumps([{"Config": "c.json", "RepoTags": ["digits:v1", "team/digits:v1"],
                        "Layers": ["1/layer.tar", "2/layer.tar"]}]).encode()
open("saved.tar", "wb").write(tar([("1/layer.tar", layers[0]), ("2/layer.tar", layers[1]),
                                   ("c.json", config), ("manifest.json", manifest)]))
PY
expect_exit 0 mlp image ls
contains "$err" "no images"
expect_exit 0 mlp image import saved.tar
contains "$out" "digits:v1: sha256:"
contains "$out" "team/digits:v1: sha256:"
store=$XDG_DATA_HOME/mlp/images

# Within a project the images are the project's own.
mkdir project
printf 'name: t\n' >project/mlp.yaml
expect_exit 0 mlp -C project image ls
contains "$err" "no images"

expect_exit 0 mlp image ls
contains "$out" "linux/amd64"
digest=$(mlp image ls digits --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["images"][0]["digest"])')
hex=${digest#sha256:}
expect_exit 0 mlp image inspect "${hex:0:12}"
contains "$out" "/bin/sh -c 'echo a b'"
lacks "$out" $'\x1b'
expect_exit 0 mlp image history digits:v1
equals "$(grep -c . <<<"$out")" 4
expect_exit 0 mlp __complete image inspect dig
contains "$out" "digits:v1"

# Other names, other places; the same digest everywhere.
expect_exit 0 mlp image copy digits:v1 digits
expect_exit 0 mlp image copy digits oci:elsewhere:app
contains "$out" "$digest"
expect_exit 0 mlp image export digits one.tar
expect_exit 5 mlp image export digits one.tar
expect_exit 0 mlp image export "$digest" two.tar --force
expect_exit 0 mlp image copy oci-archive:one.tar oci:elsewhere:again
contains "$out" "$digest"
expect_exit 2 mlp image export digits x.tar --format zip
PATH=/usr/bin:/bin expect_exit 4 mlp image export digits x.sif
contains "$err" "apptainer"
[ ! -e x.sif ] || fail "a file was left"
expect_exit 2 mlp image push digits
contains "$err" "has no registry"

# The schemas that the specification comes with.
if [ -d "$DATA/spec-oci-image" ] && /usr/bin/python3 -c 'import jsonschema' 2>/dev/null; then
  /usr/bin/python3 - "$DATA/spec-oci-image" "$store" elsewhere <<'PY'
import json, os, sys
import jsonschema
specs = sys.argv[1]
def load(name):
    return json.load(open(os.path.join(specs, os.path.basename(name))))
def check(path, name):
    schema = load(name)
    resolver = jsonschema.RefResolver(schema.get("id", ""), schema,
                                      handlers={"https": load, "http": load})
    jsonschema.Draft4Validator(schema, resolver=resolver).validate(json.load(open(path)))
    return json.load(open(path))
seen = 0
for layout in sys.argv[2:]:
    check(f"{layout}/oci-layout", "image-layout-schema.json")
    for entry in check(f"{layout}/index.json", "image-index-schema.json")["manifests"]:
        blob = lambda d: f"{layout}/blobs/" + d["digest"].replace(":", "/")
        manifest = check(blob(entry), "image-manifest-schema.json")
        check(blob(manifest["config"]), "config-schema.json")
        seen += 1
assert seen >= 5, seen
PY
fi

# Names go, blobs stay until they are collected, and shared ones stay then too.
expect_exit 4 mlp image rm digits none
expect_exit 0 mlp image rm digits digits:v1
expect_exit 0 mlp image gc --older-than 0s --dry-run
contains "$out" "would remove 1 blob "
expect_exit 0 mlp image gc --older-than 0s
expect_exit 0 mlp image inspect team/digits:v1
expect_exit 0 mlp image rm team/digits:v1
expect_exit 0 mlp image gc
contains "$out" "removed 0 blobs"
expect_exit 0 mlp image gc --older-than 0s
equals "$(find "$store/blobs" -type f | wc -l)" 0

# Archives that lie are refused, and nothing gets a name.
head -c 3000 saved.tar >cut.tar
expect_exit 8 mlp image import cut.tar
printf 'no tar' >no.tar
expect_exit 8 mlp image import no.tar
contains "$err" "hint:"
expect_exit 4 mlp image import none.tar
expect_exit 0 mlp image ls
contains "$err" "no images"
