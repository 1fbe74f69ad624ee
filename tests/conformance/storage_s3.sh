#!/usr/bin/env bash
# The storage suite in a bucket of a real Ceph object gateway: over HTTP; the short cases through a
# network that misbehaves, and over TLS with a private authority, which must not be trusted unasked.
set -euo pipefail
suite=$1 source=$2
for program in ceph-mon ceph-osd radosgw openssl curl; do
  command -v "$program" >/dev/null || {
    echo "SKIP: $program is not installed"
    exit 77
  }
done
[ "$(id -u)" = 0 ] || {
  echo "SKIP: an object store is started only by root"
  exit 77
}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-s3.XXXXXX")
source "$source/tests/conformance/faults_lib.sh"
trap 'no_faults; bash "$source/dev/services/ceph-down.sh" "$dir/ceph"; rm -rf "$dir"' EXIT
read -r http https < <(bash "$source/dev/services/ceph-up.sh" "$dir/ceph" team)

export HOME=$dir AWS_ACCESS_KEY_ID=AKTEST AWS_SECRET_ACCESS_KEY=SKTEST
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 AWS_REGION MLP_CA_FILE
MLP_TEST_S3="s3://team?endpoint=http://127.0.0.1:$http" "$suite"
# Names one by one in long lists, and threads that wait for each other, only where a fault costs no wait.
short="a place*,an object*,nothing of*,writing*,a ref*,a large object*,removed*"
for fault in "${faults[@]}"; do
  cases=$short
  [[ $fault != reset* ]] || cases="$short,a list gives*,many threads*,of threads*"
  [[ $fault != lost* ]] || cases="$short,of threads*"
  faulty "$http" $fault # in words
  MLP_TEST_S3="s3://team?endpoint=http://127.0.0.1:$proxy" \
    "$suite" "$cases" ||
    not_under "$fault"
done
no_faults
export MLP_TEST_S3="s3://team?endpoint=https://localhost:$https"
MLP_CA_FILE=$dir/ceph/cert.pem "$suite" "an object*,a ref*,a large object*,many threads*,removed*"
if "$suite" "an object*" >"$dir/untrusted" 2>&1; then
  echo "FAIL: a certificate of nobody's was trusted"
  exit 1
fi
grep -q "is not trusted" "$dir/untrusted" || {
  cat "$dir/untrusted"
  exit 1
}
