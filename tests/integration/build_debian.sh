# mlp build on a real Debian: a base made by mmdebstrap, pushed to a registry, system packages from
# Debian's mirror and Python packages from an index on top of it, all pinned; run, read by other
# tools, and built again by another user to the same bits.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/registry_lib.sh"
for program in mmdebstrap runc jq; do
  command -v "$program" >/dev/null || skip "no $program"
done
unshare -Ur true 2>/dev/null || skip "no user namespaces here"
unset SOURCE_DATE_EPOCH PIP_EXTRA_INDEX_URL PIP_FIND_LINKS
chmod 755 "$TEST_DIR"
start_registry team

# The base, from a Dockerfile, as its owner would share it.
mkdir base && cd base
mmdebstrap --quiet --variant=apt --include=python3-pip,ca-certificates bookworm debian.tar 2>../log ||
  skip "no Debian mirror: $(tail -1 ../log)"
printf 'name: debian\nimage: {dockerfile: Dockerfile}\n' >mlp.yaml
cat >Dockerfile <<'DOCKER'
FROM scratch
ADD debian.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["/bin/sh"]
DOCKER
SOURCE_DATE_EPOCH=1700000000 mlp build -q >/dev/null || fail "the base does not build"
mlp image push debian "$registry/team/debian:12" >/dev/null 2>&1 || fail "the base cannot be pushed"
cd ..

# An index of wheels: one needs another, and of one there are two versions.
mkdir -p index/files
(
  cd index
  python3 - <<'PY'
import hashlib, os, zipfile
def wheel(name, version, needs=()):
    with zipfile.ZipFile(f"files/{name}-{version}-py3-none-any.whl", "w") as z:
        def add(path, text):
            z.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)
        info = f"{name}-{version}.dist-info"
        add(f"{name}/__init__.py", f"VERSION = '{version}'\ndef main(): print('{name} {version}')\n")
        add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT\n"
            + "".join(f"Requires-Dist: {n}\n" for n in needs))
        add(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        add(f"{info}/entry_points.txt", f"[console_scripts]\n{name}-tool = {name}:main\n")
        add(f"{info}/RECORD", "".join(f"{p},,\n" for p in z.namelist()))
wheel("alpha", "1.0", ["beta>=1"]); wheel("alpha", "2.0", ["beta>=1"]); wheel("beta", "1.1")
for name in ("alpha", "beta"):
    os.makedirs(f"simple/{name}")
    links = []
    for file in sorted(f for f in os.listdir("files") if f.startswith(name)):
        digest = hashlib.sha256(open(f"files/{file}", "rb").read()).hexdigest()
        links.append(f'<a href="../../files/{file}#sha256={digest}">{file}</a>')
    open(f"simple/{name}/index.html", "w").write("<!DOCTYPE html><html><body>" + "".join(links))
PY
)
python3 -u -m http.server -d index --bind 127.0.0.1 0 >index.log 2>&1 &
wait_until 10 grep -q 'port' index.log
PIP_INDEX_URL=http://127.0.0.1:$(sed -n 's/.*port \([0-9]*\).*/\1/p' index.log)/simple
export PIP_INDEX_URL

mkdir -p project/src && cd project
cat >mlp.yaml <<YAML
name: digits
image:
  base: $registry/team/debian:12
  system_packages: [hello, openssh-client]
  python_version: "3"
  files: [src]
  cmd: [python3, src/main.py]
tasks:
  show: {run: "hello; alpha-tool; touch made-by-task"}
YAML
echo 'import alpha, beta; print(alpha.VERSION, beta.VERSION)' >src/main.py

# Packages are curated by command, chosen once, and pinned.
expect_exit 0 mlp env add 'alpha<2'
contains "$err" "+ alpha 1.0"
contains "$err" "+ beta 1.1"
contains "$err" "+ hello "
expect_exit 1 mlp env add no-such-package
contains "$err" "mlp.yaml is as it was"
expect_exit 0 mlp env lock --check
expect_exit 0 mlp env ls
contains "$out" "needed"
expect_exit 0 mlp build
first=$(mlp image inspect digits --json | jq -r .digest)

# It runs: here, as a task in its environment, and under another runtime.
equals "$(mlp image run digits)" "1.0 1.1"
expect_exit 0 mlp train show
contains "$out$err$(mlp runs logs latest)" "alpha 1.0"
contains "$(mlp runs logs latest)" "Hello, world"
[ -f made-by-task ] || fail "the task did not work in the project's folder"
equals "$(mlp runs show latest --json | jq -r '.spec.image // .image')" \
  "$(mlp env show --json | jq -r .environment)"
# Other tools read it.
equals "$(skopeo inspect --format '{{.Digest}}' oci:.mlp/images:digits:latest)" "$first"
umoci unpack --rootless --image .mlp/images:digits:latest ../unpacked >/dev/null 2>../log ||
  fail "umoci: $(tail -3 ../log)"
[ -x ../unpacked/rootfs/usr/bin/hello ] || fail "hello is not in what umoci unpacked"
equals "$(cat ../unpacked/rootfs/src/src/main.py)" "$(cat src/main.py)"
if find ../unpacked/rootfs -name '*.pyc' | grep -q .; then
  # The base's own are its own; none was added.
  mlp image diff --json "$registry/team/debian:12" digits |
    jq -e '[.files[].path | select(endswith(".pyc"))] == []' >/dev/null || fail "compiled Python was added"
fi
jq '.process.terminal = false | .process.args = ["hello"]' ../unpacked/config.json >../c.json
mv ../c.json ../unpacked/config.json
contains "$(runc --root "$TEST_DIR/runc" run -b ../unpacked "mlp-test-$$" 2>&1)" "Hello, world"
# What is in it, from dpkg's and pip's own records.
mlp image sbom digits >../sbom.json
for package in hello openssh-client alpha beta libc6; do
  jq -e --arg name "$package" '.packages | map(.name) | index($name) != null' ../sbom.json >/dev/null ||
    fail "the SBOM lacks $package"
done
mlp image provenance digits | jq -e '.predicate.buildDefinition.resolvedDependencies |
  map(.uri // "") | any(endswith("hello_2.10-3_amd64.deb") or contains("/hello_"))' >/dev/null ||
  fail "the provenance lacks hello's file"

# To the registry and back, SBOM and all; what the base had is not sent again.
expect_exit 0 mlp image push digits "$registry/team/digits:v1"
equals "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$registry/team/digits:v1")" "$first"
if command -v buildah >/dev/null; then
  container=$(buildah --root ../b --runroot ../br --storage-driver vfs from --tls-verify=false \
    "docker://$registry/team/digits:v1") || fail "buildah cannot begin from it"
  contains "$container" working-container
fi
mlp image sbom "docker://$registry/team/digits:v1" | cmp - ../sbom.json || fail "another SBOM in the registry"

# The same bits again: from nothing; and in another folder by another user with another cache.
expect_exit 0 mlp build --verify
contains "$out" "reproduced"
if [ "$(id -u)" = 0 ]; then
  mkdir -p ../elsewhere ../other-home
  cp -r mlp.yaml mlp.lock src ../elsewhere/
  chown -R 65534:65534 ../elsewhere ../other-home
  other=$(cd ../elsewhere && setpriv --reuid=65534 --regid=65534 --clear-groups \
    env HOME="$TEST_DIR/work/other-home" XDG_DATA_HOME="$TEST_DIR/work/other-home/d" \
    XDG_CACHE_HOME="$TEST_DIR/work/other-home/c" "$MLP" build --locked --json | jq -r .digest)
  equals "$other" "$first"
fi

# Less again.
expect_exit 0 mlp env rm alpha
contains "$err" "- beta 1.1"
lacks "$(grep python_packages mlp.yaml || true)" alpha
