#!/usr/bin/env bash
# What differs between two images that another tool made, what is in one, and what is attached to it.
source "$(dirname "$0")/lib.sh"

command -v umoci >/dev/null || skip "no umoci, which makes the images"
export SOURCE_DATE_EPOCH=1700000000

# status NAME=VERSION...: dpkg's list.
status() {
  local one
  for one in "$@"; do
    printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n' \
      "${one%%=*}" "${one#*=}"
  done
}
# layer FOLDER: a tar of it, with fixed times.
layer() { tar -C "$1" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf "$1.tar" .; }

mkdir -p base/var/lib/dpkg base/etc base/opt/six-1.16.0.dist-info base/data
status libc6=2.36-9 curl=7.88.1-10 >base/var/lib/dpkg/status
printf 'ID=debian\n' >base/etc/os-release
printf 'Name: six\nVersion: 1.16.0\nLicense: MIT\n' >base/opt/six-1.16.0.dist-info/METADATA
echo keep >base/data/keep
echo go >base/data/go
layer base

mkdir -p next/var/lib/dpkg next/data next/opt/numpy-1.26.4.dist-info
status libc6=2.36-10 jq=1.6 >next/var/lib/dpkg/status
printf 'Name: numpy\nVersion: 1.26.4\nLicense: BSD-3-Clause\n' \
  >next/opt/numpy-1.26.4.dist-info/METADATA
: >next/data/.wh.go
: >next/opt/.wh.six-1.16.0.dist-info
mkdir -p next/models/digits
echo 1 >next/models/digits/weights
printf 'new \033[31m\n' >next/data/"$(printf 'red\033[31m')"
layer next

umoci init --layout images
umoci new --image images:one
umoci raw add-layer --image images:one base.tar
umoci config --image images:one --config.env MODE=test --config.cmd sh
umoci tag --image images:one two
umoci raw add-layer --image images:two next.tar
umoci config --image images:two --config.env MODE=live --config.workingdir /app

# --- itself
expect_exit 0 mlp image diff oci:images:one oci:images:one --json
[ "$(jq -r .verdict <<<"$out")" = identical ] || fail "an image differs from itself: $out"

# --- packages, configuration, layers, files
expect_exit 0 mlp image diff oci:images:one oci:images:two
contains "$out" ": different"
contains "$out" "removed  curl 7.88.1-10 deb"
contains "$out" "changed  libc6 2.36-9 -> 2.36-10 deb"
contains "$out" "added    numpy 1.26.4 python"
contains "$out" "removed  six 1.16.0 python"
contains "$out" 'changed  env.MODE "test" -> "live"'
contains "$out" 'added    workdir "/app"'
contains "$out" "layers: 1 shared, 0 only in the first, 1 only in the second"
contains "$out" "removed  /data/go"
contains "$out" 'added    /data/red\x1b[31m'
contains "$out" "added    /models/  (and 2 in it)"
lacks "$out" /models/digits
lacks "$out" /data/keep
lacks "$out" "$(printf '\033')"
expect_exit 0 mlp image diff oci:images:two oci:images:one --json
jq -e '.verdict == "different" and .layers.shared == 1 and (.layers.before | length) == 1
  and (.packages[] | select(.name == "jq") | .before == "1.6" and .after == "")
  and (.files[] | select(.path == "/data/go") | .change == "added" and .after.bytes == 3)' \
  >/dev/null <<<"$out" || fail "the record: $out"

# --- the same files, in one layer and without compression: other bytes, nothing else
mkdir both
tar -xf base.tar -C both
rm -r both/data/go both/opt/six-1.16.0.dist-info
tar --exclude=.wh.* -xf next.tar -C both
layer both
umoci new --image images:flat
umoci raw add-layer --image images:flat both.tar
umoci config --image images:flat --config.env MODE=live --config.workingdir /app --config.cmd sh
expect_exit 0 mlp image diff oci:images:two oci:images:flat --json
jq -e '.packages == [] and .files == [] and (.config | map(.member) - ["created"]) == []' \
  >/dev/null <<<"$out" || fail "an image in one layer differs: $out"

# --- what is in it
expect_exit 0 mlp image sbom oci:images:two
document=$out
jq -e '.spdxVersion == "SPDX-2.3"' >/dev/null <<<"$document" || fail "no SPDX: $document"
purls=$(jq -r '.packages[].externalRefs[0].referenceLocator' <<<"$document")
contains "$purls" 'pkg:deb/debian/libc6@2.36-10?arch=amd64'
contains "$purls" 'pkg:pypi/numpy@1.26.4'
lacks "$purls" six
[ "$(mlp image sbom oci:images:two)" = "$document" ] || fail "the document changes"
expect_exit 0 mlp image sbom oci:images:two --json
[ "$(jq -r .attached <<<"$out")" = false ] || fail "a document is said to be attached: $out"
expect_exit 4 mlp image provenance oci:images:two
contains "$err" "has no provenance attached"

# --- a layer with other bytes than the manifest says
mkdir bad
cp -r images/. bad/
blob=$(jq -r '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == "two").digest' \
  bad/index.json)
digest=$(jq -r '.layers[1].digest' "bad/blobs/${blob/://}")
file=bad/blobs/${digest/://}
chmod u+w "$file"
printf x | dd of="$file" bs=1 seek=40 conv=notrunc status=none
expect_exit 8 mlp image diff oci:images:one oci:bad:two
expect_exit 4 mlp image diff oci:images:one oci:images:none
contains "$err" "no image 'none'"

# --- what a build attaches goes with the image, and is printed instead
mkdir project
cd project
printf 'name: digits\nimage:\n  base: scratch\n  files: [train.py]\n  secrets: [token]\n' >mlp.yaml
echo 'print(1)' >train.py
git init -q
git add -A
git commit -qm first
mlp build -q
mlp image copy digits oci:../moved:digits >/dev/null
expect_exit 0 mlp image sbom oci:../moved:digits --json
jq -e '.attached and (.document.files | map(.fileName) | any(endswith("train.py")))' \
  >/dev/null <<<"$out" || fail "the attached document: $out"
expect_exit 0 mlp image provenance digits
jq -e --arg commit "$(git rev-parse HEAD)" '.predicateType == "https://slsa.dev/provenance/v1"
  and any(.predicate.buildDefinition.resolvedDependencies[]; .digest.gitCommit == $commit)' \
  >/dev/null <<<"$out" || fail "the provenance: $out"
# An edit of the code is all that differs.
mlp image copy digits oci:../edited:before >/dev/null
echo 'print(2)' >train.py
mlp build -q
expect_exit 0 mlp image diff oci:../edited:before digits --json
jq -e '[.files[] | select(.what != ["time"])] | length == 1 and .[0].what == ["content"]' \
  >/dev/null <<<"$out" || fail "an edit of one file: $out"
