# mlp build without a network: a base of busybox, steps, files, a Dockerfile. The same image in
# another folder, at another time, by another user; what is done again after an edit and what not.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/image_lib.sh"

export HOME=$TEST_DIR/home XDG_CACHE_HOME=$TEST_DIR/home/.cache SOURCE_DATE_EPOCH=1700000000
mkdir -p "$HOME"
make_base "$TEST_DIR/base"

project() { # FOLDER: a project with steps and files
  mkdir -p "$1/src" && cd "$1"
  cat >mlp.yaml <<YAML
name: digits
image:
  base: oci:$TEST_DIR/base
  run:
    - echo "\$SOURCE_DATE_EPOCH" > /etc/built-at; echo once > /etc/step; rm /etc/motd
    - mkdir -p /opt/tool && echo 'echo tool' > /opt/tool/t && chmod +x /opt/tool/t && ln /opt/tool/t /opt/tool/u
  files: [src, run.sh]
  env: {GREETING: hello}
  entrypoint: [/bin/sh, run.sh]
  labels: {team: vision}
YAML
  echo 'cat src/data.txt' >run.sh
  echo "$GREETING_FILE" >src/data.txt
  echo left-out >src/secret.key
  echo '*.key' >.mlpignore
}
digest_of() { jq -r .digest; }

GREETING_FILE=seven project "$TEST_DIR/one"
first=$("$MLP" build --json 2>"$TEST_DIR/build.err" | digest_of)
store=$PWD/.mlp/images

# What is in it.
manifest=$store/blobs/sha256/${first#sha256:}
equals "$(jq '.layers | length' "$manifest")" 4
config=$store/blobs/sha256/$(jq -r .config.digest "$manifest" | cut -d: -f2)
equals "$(jq -r .config.WorkingDir "$config")" /src
equals "$(jq -r '.config.Env | index("GREETING=hello") != null' "$config")" true
equals "$(jq -r '.config.Labels.team' "$config")" vision
equals "$(jq '[.history[] | select(.empty_layer | not)] | length' "$config")" 4
equals "$(jq -r .created "$config")" 2023-11-14T22:13:20Z
layer() { zcat "$store/blobs/sha256/$(jq -r ".layers[$1].digest" "$manifest" | cut -d: -f2)"; }
contains "$(layer 1 | tar tf -)" "etc/.wh.motd"
contains "$(layer 2 | tar tvf -)" "link to opt/tool/t"
equals "$(layer 3 | tar tf - | tr '\n' ' ')" "src src/run.sh src/src src/src/data.txt "
equals "$(layer 3 | tar tv --full-time -f - | awk '{print $2, $4, $5}' | sort -u)" \
  "0/0 2023-11-14 22:13:20"

# Nothing changed: nothing is made. An edit: the files alone.
made() { "$MLP" build --json | jq -c '[.steps[] | select(.cached | not) | .step]'; }
sleep 0.1
"$MLP" build -q >/dev/null
equals "$(made)" '[]'
sleep 0.1
echo eight >src/data.txt
equals "$(made)" '["files: src run.sh"]'
sleep 0.1
echo seven >src/data.txt
equals "$("$MLP" build --json | digest_of)" "$first"
sleep 0.1
"$MLP" build -q >/dev/null
sed -i 's/echo once/echo twice/' mlp.yaml
equals "$(made | jq length)" 2 # that step, and the one on top of it
sed -i 's/echo twice/echo once/' mlp.yaml
equals "$(made)" '[]'

# The same elsewhere, later, from nothing; by another user too.
(
  GREETING_FILE=seven project "$TEST_DIR/two/elsewhere"
  touch -d '2001-01-01' src/data.txt
  chmod 600 run.sh
  export XDG_CACHE_HOME=$TEST_DIR/other-cache
  equals "$("$MLP" build --json --no-cache | digest_of)" "$first"
)
if [ "$(id -u)" = 0 ]; then
  (
    umask 077
    GREETING_FILE=seven project "$TEST_DIR/three"
      mkdir "$TEST_DIR/three-home"
    chown -R 65534:65534 "$TEST_DIR/three" "$TEST_DIR/three-home"
    chmod -R a+rX "$TEST_DIR/base"
    chmod a+x "$TEST_DIR"
    other=$(as_nobody env HOME="$TEST_DIR/three-home" XDG_CACHE_HOME="$TEST_DIR/three-home/c" \
      "$MLP" build --json | digest_of)
    equals "$other" "$first"
  )
fi

# --verify: the same again, or what differs.
cd "$TEST_DIR/one"
expect_exit 0 "$MLP" build --verify
contains "$out" "reproduced"
lacks "$out" "not reproduced"
sed -i 's/echo once/head -c8 \/dev\/urandom/' mlp.yaml
"$MLP" build -q >/dev/null
expect_exit 8 "$MLP" build --verify
contains "$out" "not reproduced"
contains "$out" "/etc/step  (content"
sed -i 's/head -c8 \/dev\/urandom/echo once/' mlp.yaml

# It runs, here and by its names.
"$MLP" build -q -t digits:v1 >/dev/null
equals "$("$MLP" image run digits:v1)" seven
# SBOM and provenance lie beside it.
equals "$("$MLP" image sbom digits:v1 | jq -r .spdxVersion)" SPDX-2.3
"$MLP" image sbom digits:v1 | jq -e '[.files[].fileName] | index("./src/src/data.txt") != null' >/dev/null ||
  fail "the SBOM does not list the project's files"
equals "$("$MLP" image provenance digits:v1 | jq -r '.subject[0].digest.sha256')" "${first#sha256:}"
"$MLP" image provenance digits:v1 | jq -e '.predicate.buildDefinition.resolvedDependencies |
  map(select(.digest.sha256)) | length >= 2' >/dev/null || fail "the provenance names no materials"

# A secret is there for the step and in no layer, log or document.
printf 'hunter2-hunter2' | "$MLP" secret set TOKEN >/dev/null
sed -i 's/^  files:/    - test "$(wc -c <\/run\/secrets\/TOKEN)" = 15; cat \/run\/secrets\/TOKEN; echo ok > \/etc\/had-secret\n  secrets: [TOKEN]\n  files:/' mlp.yaml
expect_exit 0 "$MLP" build -v
lacks "$err" hunter2
contains "$err" '***'
if grep -r hunter2 .mlp mlp.lock >/dev/null; then fail "the secret is in a file of the project"; fi
for blob in .mlp/images/blobs/sha256/*; do
  if (zcat "$blob" 2>/dev/null || cat "$blob") | grep -q hunter2; then fail "the secret is in $blob"; fi
done

# A step that fails says so in its own words, and leaves the image as it was.
before=$("$MLP" image inspect --json digits | jq -r .digest)
sed -i 's/    - test/    - echo oh no >\&2; exit 3\n    - test/' mlp.yaml
expect_exit 1 "$MLP" build
contains "$err" "oh no"
contains "$err" "exit code 3"
equals "$("$MLP" image inspect --json digits | jq -r .digest)" "$before"
# No network while steps run: no route leads anywhere.
sed -i 's/echo oh no >&2; exit 3/test "$(wc -l <\/proc\/net\/route)" -le 1/' mlp.yaml
expect_exit 0 "$MLP" build

# Where the kernel forbids containers, that is said, and what to do.
sed -i 's/echo once/echo never/' mlp.yaml
expect_exit 6 unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" build' "$MLP"
contains "$err" "user namespaces"
contains "$err" "sysctl"
sed -i 's/echo never/echo once/' mlp.yaml

# What is wrong is said with its place.
expect_exit 3 "$MLP" -C "$TEST_DIR/one" build --locked -f nosuch
expect_exit 4 "$MLP" build -f nosuch
printf 'name: x\n' >"$TEST_DIR/two/mlp.yaml"
expect_exit 3 "$MLP" -C "$TEST_DIR/two" build
contains "$err" "has no 'image'"
expect_exit 2 env SOURCE_DATE_EPOCH=yesterday "$MLP" build
contains "$err" "SOURCE_DATE_EPOCH"
