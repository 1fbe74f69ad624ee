# Sourced by the tests with a real object store: starts Ceph's gateway with the bucket "team", or
# skips; $S3_HTTP and $S3_HTTPS are its ports, $CEPH its folder.
# shellcheck shell=bash
for program in ceph-mon ceph-osd radosgw openssl; do
  command -v "$program" >/dev/null || skip "$program is not installed"
done
[ "$(id -u)" = 0 ] || skip "an object store is started only by root"
CEPH=$TEST_DIR/ceph
read -r S3_HTTP S3_HTTPS < <(bash "$MLP_SOURCE/dev/services/ceph-up.sh" "$CEPH" team)
export S3_HTTP S3_HTTPS
[ -n "$S3_HTTPS" ] || fail "the object store did not start: $(tail -5 "$CEPH/log/up.log")"
export AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL AWS_CA_BUNDLE
unset AWS_ENDPOINT_URL_S3 MLP_CA_FILE SSL_CERT_FILE MLP_NET_TIMEOUT MLP_NET_ATTEMPTS

# faults PORT FAULT EVERY [METHODS]: a proxy that misbehaves so; $proxy is its port.
faults() {
  python3 -u "$MLP_SOURCE/tests/integration/fault_proxy.py" "$@" >"$TEST_DIR/proxy.port" &
  proxy_pid=$!
  wait_until 10 test -s "$TEST_DIR/proxy.port"
  proxy=$(cat "$TEST_DIR/proxy.port")
  export proxy
}
no_faults() {
  kill "$proxy_pid" 2>/dev/null
  wait "$proxy_pid" 2>/dev/null || true
  rm -f "$TEST_DIR/proxy.port"
}
