# Registries that want a user: basic, bearer tokens, identity tokens, credential helpers, TLS with an
# authority of one's own. No secret in an error or a process list.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/registry_lib.sh"
command -v htpasswd >/dev/null || skip "no htpasswd: see dev/deps"
echo hello >hello
make_image app:v1 hello
mlp image copy "oci:$TEST_DIR/made:app:v1" app:v1 >/dev/null

# login HOST USER PASSWORD
login() {
  mkdir -p "$HOME/.docker"
  printf '{"auths": {"%s": {"auth": "%s"}}}\n' "$1" "$(printf '%s:%s' "$2" "$3" | base64)" \
    >"$HOME/.docker/config.json"
}
logout() { rm -rf "$HOME/.docker"; }

# Basic.
htpasswd -Bbc "$TEST_DIR/users" ada secret 2>/dev/null
start_registry basic "auth: {htpasswd: {realm: test, path: $TEST_DIR/users}}"
basic=$registry
expect_exit 6 mlp image push app:v1 "$basic/app:v1"
contains "$err" "docker login $basic"
login "$basic" ada wrong-password
expect_exit 6 mlp image push app:v1 "$basic/app:v1"
lacks "$err" wrong-password
login "$basic" ada secret
expect_exit 0 mlp image push app:v1 "$basic/app:v1"
login "https://$basic/v1/" ada secret
expect_exit 0 mlp image inspect "docker://$basic/app:v1"
# A file of podman's, a file that is named, and a credential helper.
logout
mkdir -p "$XDG_RUNTIME_DIR/containers"
printf '{"auths": {"%s/app": {"auth": "%s"}}}' "$basic" "$(printf ada:secret | base64)" \
  >"$XDG_RUNTIME_DIR/containers/auth.json"
expect_exit 0 mlp image inspect "docker://$basic/app:v1"
mv "$XDG_RUNTIME_DIR/containers/auth.json" named.json
expect_exit 6 mlp image inspect "docker://$basic/app:v1"
REGISTRY_AUTH_FILE=$PWD/named.json expect_exit 0 mlp image inspect "docker://$basic/app:v1"
mkdir -p bin "$HOME/.docker"
cat >bin/docker-credential-test <<HELPER
#!/bin/sh
read -r server
[ "\$1 \$server" = "get $basic" ] || { echo "credentials not found in native keychain"; exit 1; }
echo '{"ServerURL": "x", "Username": "ada", "Secret": "secret"}'
HELPER
chmod +x bin/docker-credential-test
echo '{"credsStore": "test"}' >"$HOME/.docker/config.json"
PATH=$PWD/bin:$PATH expect_exit 0 mlp image inspect "docker://$basic/app:v1"
expect_exit 4 mlp image inspect "docker://$basic/app:v1"
contains "$err" docker-credential-test
logout

# TLS by an authority of our own: refused until it is trusted for that host.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey rsa:2048 -nodes -subj /CN=registry -keyout tls.key -out tls.csr 2>/dev/null
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt \
  -extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:localhost') 2>/dev/null
start_registry tls "  tls: {certificate: $PWD/tls.crt, key: $PWD/tls.key}" \
  "auth: {htpasswd: {realm: test, path: $TEST_DIR/users}}"
tls=$registry
login "$tls" ada secret
expect_exit 7 mlp image push app:v1 "$tls/app:v1"
contains "$err" "is not trusted"
mkdir -p "$HOME/.config/containers/certs.d/$tls"
cp ca.crt "$HOME/.config/containers/certs.d/$tls/ca.crt"
expect_exit 0 mlp image push app:v1 "$tls/app:v1"
rm -r "$HOME/.config/containers/certs.d"
MLP_CA_FILE=$PWD/ca.crt expect_exit 0 mlp image inspect "docker://$tls/app:v1"
logout

# Tokens: docker-registry checks the signatures.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=tokens -keyout jwt.key -out jwt.crt 2>/dev/null
# token_server LIFETIME
token_server() {
  rm -f "$TEST_DIR/port"
  python3 "$integration/token_server.py" jwt.key jwt.crt test-service "$1" >"$TEST_DIR/port" 2>>"$TEST_DIR/asked" &
  token_pid=$!
  wait_until 10 test -s "$TEST_DIR/port"
  port=$(cat "$TEST_DIR/port")
}
token_server 300
token="auth: {token: {realm: 'http://127.0.0.1:$port/token', service: test-service, issuer: test, rootcertbundle: $PWD/jwt.crt}}"
start_registry token "$token"
tokens=$registry
expect_exit 6 mlp image push app:v1 "$tokens/app:v1"
login "$tokens" ada wrong-password
expect_exit 6 mlp image push app:v1 "$tokens/app:v1"
contains "$err" "docker login $tokens"
lacks "$err" wrong-password
login "$tokens" ada secret
: >"$TEST_DIR/asked"
expect_exit 0 mlp image push app:v1 "$tokens/app:v1"
equals "$(cat "$TEST_DIR/asked")" "GET ada repository:app:pull,push" # once for all requests
equals "$(digest_of --tls-verify=false "docker://$tokens/app:v1")" "$(digest_of "oci:$TEST_DIR/made:app:v1")"
# A mount needs a token for both repositories.
expect_exit 0 mlp image pull "$tokens/app:v1"
: >"$TEST_DIR/asked"
expect_exit 0 mlp image push "$tokens/app:v1" "$tokens/other:v1"
contains "$(cat "$TEST_DIR/asked")" "repository:other:pull,push repository:app:pull"
# Without a user: to pull is allowed.
logout
expect_exit 0 mlp image inspect "docker://$tokens/app:v1"
contains "$(tail -1 "$TEST_DIR/asked")" "GET anonymous repository:app:pull"
# An identity token is exchanged by POST.
mkdir -p "$HOME/.docker"
printf '{"auths": {"%s": {"identitytoken": "ada-id"}}}' "$tokens" >"$HOME/.docker/config.json"
expect_exit 0 mlp image push app:v1 "$tokens/app:v2"
contains "$(tail -1 "$TEST_DIR/asked")" "POST ada repository:app:pull,push"

# Tokens that expire before they say: asked for anew, once a refusal.
login "$tokens" ada secret
kill "$token_pid"
wait "$token_pid" 2>/dev/null || true
kill "$registry_pid"
wait "$registry_pid" 2>/dev/null || true
token_server -58 # the registry allows a minute for clocks that differ: two seconds are left
start_registry token2 "${token/127.0.0.1:*\/token/127.0.0.1:$port/token}"
head -c 40000000 /dev/urandom >noise
make_image big:v1 noise
mlp image copy "oci:$TEST_DIR/made:big:v1" big:v1 >/dev/null
: >"$TEST_DIR/asked"
faulty "$registry" slowdown 2 HEAD,POST # every other one waits a second
expect_exit 0 env HOME="$HOME" DOCKER_CONFIG="$PWD/config" sh -c "mkdir -p config && sed 's/$tokens/$proxy/' \
  '$HOME/.docker/config.json' >config/config.json && exec '$MLP' image push big:v1 '$proxy/big:v1'"
no_faults
[ "$(wc -l <"$TEST_DIR/asked")" -gt 1 ] || fail "the token was never renewed: $(cat "$TEST_DIR/asked")"
