# Registries (docker-registry), a token server, and small images, for tests that source this after
# the functional tests' library.
# shellcheck shell=bash disable=SC2034
for program in docker-registry skopeo umoci openssl python3; do
  command -v "$program" >/dev/null || skip "no $program: see dev/deps"
done
integration=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export XDG_DATA_HOME=$HOME/.local/share XDG_RUNTIME_DIR=$TEST_DIR/run
unset DOCKER_CONFIG REGISTRY_AUTH_FILE
mkdir -p "$XDG_RUNTIME_DIR"
# skopeo wants a policy.
mkdir -p "$HOME/.config/containers"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$HOME/.config/containers/policy.json"

# start_registry NAME [YAML...]: a registry of its own folder; its address in $registry, what it
# stores in $TEST_DIR/NAME, its log in $TEST_DIR/NAME.log. YAML is added to the configuration; what
# belongs under http: begins with two blanks.
start_registry() {
  local name=$1 line
  shift
  {
    echo "version: 0.1"
    echo "storage: {filesystem: {rootdirectory: $TEST_DIR/$name}, delete: {enabled: true}}"
    printf 'http:\n  addr: 127.0.0.1:0\n  secret: x\n'
    for line in "$@"; do printf '%s\n' "$line"; done
  } >"$TEST_DIR/$name.yml"
  docker-registry serve "$TEST_DIR/$name.yml" >"$TEST_DIR/$name.log" 2>&1 &
  registry_pid=$!
  wait_until 10 grep -q 'listening on' "$TEST_DIR/$name.log"
  registry=127.0.0.1:$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' "$TEST_DIR/$name.log" | head -1)
}

# faulty ADDRESS FAULT EVERY [METHODS]: a proxy in front of it, at $proxy.
faulty() {
  rm -f "$TEST_DIR/proxy"
  python3 "$integration/fault_proxy.py" "${1#*:}" "${@:2}" >"$TEST_DIR/proxy" &
  proxy_pid=$!
  wait_until 10 test -s "$TEST_DIR/proxy"
  proxy=127.0.0.1:$(cat "$TEST_DIR/proxy")
}
no_faults() {
  kill -9 "$proxy_pid" 2>/dev/null
  wait "$proxy_pid" 2>/dev/null || true
}

# make_image NAME:TAG FILE...: an image with the files as its one layer, made by umoci in the layout
# $TEST_DIR/made.
make_image() {
  local name=$1 bundle=$TEST_DIR/bundle
  shift
  [ -e "$TEST_DIR/made/oci-layout" ] || umoci init --layout "$TEST_DIR/made"
  umoci new --image "$TEST_DIR/made:$name"
  umoci unpack --rootless --image "$TEST_DIR/made:$name" "$bundle" >/dev/null
  mkdir -p "$bundle/rootfs/data"
  cp "$@" "$bundle/rootfs/data"
  umoci repack --image "$TEST_DIR/made:$name" "$bundle" >/dev/null
  umoci config --image "$TEST_DIR/made:$name" --config.env COLOR=red --config.cmd /data/hello \
    --config.label team=digits
  chmod -R u+rwX "$bundle"
  rm -rf "$bundle"
}

# digest_of REFERENCE [OPTIONS]: as skopeo sees it.
digest_of() { skopeo inspect --format '{{.Digest}}' "$@"; }

json() { python3 -c "import json,sys; d=json.load(sys.stdin); print($1)"; }
