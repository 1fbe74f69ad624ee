# Builds that are cut off: interrupted, killed, on a full disk, two at once, with damaged caches.
# Nothing is left running, no image is half, and the next build goes on.
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/image_lib.sh"

make_base "$TEST_DIR/base"
export SOURCE_DATE_EPOCH=1700000000
mkdir -p "$TEST_DIR/p" && cd "$TEST_DIR/p"
cat >mlp.yaml <<YAML
name: p
image:
  base: oci:$TEST_DIR/base
  run: [echo first > /first, "echo \$\$ > /pid; sleep 60"]
  files: [a]
YAML
echo a >a

in_step() { find "$XDG_CACHE_HOME/mlp/tmp" -path '*/upper/pid' -size +0 2>/dev/null | grep -q .; }
no_containers() { ! pgrep -f "$TEST_DIR.*__container\|__container $XDG_CACHE_HOME" >/dev/null; }

# SIGTERM ends the step and says so.
mlp build 2>err &
build=$!
wait_until 20 in_step
kill -TERM "$build"
code=0
wait "$build" || code=$?
equals "$code" 143
wait_until 10 no_containers
lacks "$(cat .mlp/images/index.json)" p:latest

# Killed, with all that it started.
mlp build 2>err &
build=$!
wait_until 20 in_step
kill -9 "$build"
wait "$build" 2>/dev/null || true
wait_until 10 no_containers
lacks "$(cat .mlp/images/index.json)" p:latest

# The next one takes the first step from the cache.
sed -i 's/sleep 60/true/' mlp.yaml
expect_exit 0 mlp build --json
equals "$(jq -c '[.steps[].cached]' <<<"$out")" '[true,false,false]'
first=$(jq -r .digest <<<"$out")

# Two at once, from nothing.
mkdir -p "$TEST_DIR/q" && cp mlp.yaml a "$TEST_DIR/q/" && cd "$TEST_DIR/q"
export XDG_CACHE_HOME=$TEST_DIR/cache2
mlp build --json >one 2>err1 &
mlp build --json >two 2>err2 || fail "the second: $(cat err2)"
wait $! || fail "the first: $(cat err1)"
equals "$(jq -r .digest one)" "$(jq -r .digest two)"
equals "$(jq -r .digest one)" "$first"

# Damage: a cache file that is no JSON, a layer that is gone, an unpacked layer that is gone.
for file in .mlp/cache/image/*; do echo '{' >"$file"; done
expect_exit 0 mlp build --json
equals "$(jq -r .digest <<<"$out")" "$first"
manifest=.mlp/images/blobs/sha256/${first#sha256:}
rm ".mlp/images/blobs/sha256/$(jq -r '.layers[1].digest' "$manifest" | cut -d: -f2)"
expect_exit 0 mlp build --json
equals "$(jq -r .digest <<<"$out")" "$first"
rm -rf "$XDG_CACHE_HOME/mlp/layers"
echo more >>mlp.yaml
sed -i 's/^more$/  labels: {a: b}/' mlp.yaml
expect_exit 0 mlp build
equals "$(mlp image run p cat /first)" first

# A full disk: an error, and the image is what it was.
small_disk 4m
mkdir "$TEST_DIR/disk/p" && cp mlp.yaml "$TEST_DIR/disk/p/" && cd "$TEST_DIR/disk/p"
echo a >a
expect_exit 0 mlp build --json
before=$(jq -r .digest <<<"$out")
head -c 2000K /dev/urandom >a
code=0
mlp build >out 2>"$TEST_DIR/full.err" || code=$?
if [ "$code" = 0 ]; then fail "the disk is not full enough"; fi
contains "$(cat "$TEST_DIR/full.err")" "No space left"
equals "$(mlp image inspect --json p | jq -r .digest)" "$before"
