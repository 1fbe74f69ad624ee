# Data that an earlier version wrote is still read, and the same files are still the same version:
# the formats of docs/formats.md have not moved. tests/golden/formats/1 is a remote of format 1.
source "$(dirname "$0")/lib.sh"

golden=$MLP_SOURCE/tests/golden/formats
mkdir pulled made
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: file://%s/1\n' "$golden" >pulled/mlp.yaml
cp "$golden/1.lock" pulled/mlp.lock
expect_exit 0 mlp -C pulled data pull
expect_exit 0 mlp -C pulled data verify
expect_exit 0 mlp -C pulled data verify --remote origin
seq 1 40000 | cmp - pulled/data/numbers.txt || fail "the bytes of a file differ"
equals "$(cat pulled/data/sub/$'new\nline')" odd
equals "$(readlink pulled/data/sub/link)" ../numbers.txt
[ -x pulled/data/run.sh ] || fail "the executable bit is lost"
equals "$(find pulled/data/many -type f | wc -l)" 300
[ -d "pulled/data/empty folder" ] || fail "the empty folder is lost"

# Without mlp.lock the remote's latest version is taken, through its ref.
rm -rf pulled/mlp.lock pulled/data
expect_exit 0 mlp -C pulled data pull
equals "$(grep digest: pulled/mlp.lock)" "$(grep digest: "$golden/1.lock")"

# The writer's side: the same files are the same version.
cp -a pulled/data made/
printf 'name: t\ndatasets:\n  set: {path: data}\n' >made/mlp.yaml
expect_exit 0 mlp -C made data add
equals "$(grep digest: made/mlp.lock)" "$(grep digest: "$golden/1.lock")"
