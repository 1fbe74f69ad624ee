# `mlp init`: a project from nothing or from a template; nothing of the user's is ever replaced.
source "$(dirname "$0")/lib.sh"

# Every template makes a project whose mlp.yaml reads.
expect_exit 0 mlp init --list --json
templates=$(jq -r '.templates[].name' <<<"$out")
equals "$(tr '\n' ' ' <<<"$templates")" "custom image-classifier tabular-classifier tabular-regressor "
for template in $templates; do
  expect_exit 0 mlp init "p-$template" --template "$template"
  contains "$out" "made project 'p-$template'"
  contains "$out" "cd p-$template"
  expect_exit 0 mlp -C "p-$template" doctor --json
  equals "$(jq -r '.checks[] | select(.name == "mlp.yaml") | .verdict' <<<"$out")" ok
done
[ -x p-custom/train.sh ] || fail "train.sh is not executable"

# An empty one, and the same again.
expect_exit 0 mlp init empty --json
equals "$(jq -c '[.name, .created, .existed, .template]' <<<"$out")" '["empty",["mlp.yaml"],false,null]'
before=$(cat empty/mlp.yaml)
expect_exit 0 mlp init empty
contains "$out" "already"
equals "$(cat empty/mlp.yaml)" "$before"

# In git: the state is ignored, once, and the rest of the file stays.
git init -q work
printf '*.o' >work/.gitignore
expect_exit 0 mlp init work
expect_exit 0 mlp init work
equals "$(cat work/.gitignore)" "$(printf '*.o\n.mlp/')"
equals "$(git -C work status --porcelain --ignored | grep -c '^!! .mlp/')" 1

# What is there is named, and nothing is written.
mkdir full
echo mine >full/README.md
expect_exit 5 mlp init full --template custom
contains "$err" "already has: README.md"
equals "$(ls -A full)" README.md
equals "$(cat full/README.md)" mine

# Mistakes.
expect_exit 2 mlp init x --name 'a/b'
contains "$err" "'a/b' is not a valid name"
expect_exit 4 mlp init x --template tabular-clasifier
contains "$err" "did you mean 'tabular-classifier'?"
[ ! -e x ] || fail "a mistake left a folder"
expect_exit 5 mlp init empty --name other
echo 'name: [' >work/mlp.yaml
expect_exit 3 mlp init work
contains "$err" "mlp.yaml:"

# A folder that may not be written (root may write everywhere).
if [ "$(id -u)" != 0 ]; then
  mkdir closed
  chmod 555 closed
  expect_exit 6 mlp init closed
fi

# Killed at random moments: either nothing that looks like a project, or a whole one; and the same
# command completes it.
for i in 1 2 3 4 5 6 7 8; do
  mlp init "killed-$i" --template image-classifier >/dev/null 2>&1 &
  pid=$!
  sleep "0.00$i"
  kill -9 "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  if [ -e "killed-$i/mlp.yaml" ]; then
    for file in README.md data/train-images-idx3-ubyte.gz data/t10k-labels-idx1-ubyte.gz; do
      [ -s "killed-$i/$file" ] || fail "mlp.yaml is there without $file"
    done
  fi
  expect_exit 0 mlp init "killed-$i" --template image-classifier
  gzip -t "killed-$i"/data/*.gz
done

# Two at once: both succeed or one says that it came second; the project is whole.
mlp init both --template custom >/dev/null 2>&1 &
mlp init both --template custom >/dev/null 2>&1 || true
wait $! || true
expect_exit 0 mlp init both --template custom
equals "$(grep -c '^name: both$' both/mlp.yaml)" 1
