#!/usr/bin/env bash
# http: remotes over a real nginx, with and without a password from ~/.netrc, by TLS, through a network
# that misbehaves, and over a server that knows no ranges.
set -euo pipefail
suite=$1 source=$2
PATH=$PATH:/usr/sbin
for program in nginx htpasswd curl openssl; do
  command -v "$program" >/dev/null || {
    echo "SKIP: $program is not installed"
    exit 77
  }
done
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-http.XXXXXX")
python=
unset MLP_CA_FILE
source "$source/tests/conformance/faults_lib.sh"
cleanup() {
  no_faults
  bash "$source/dev/services/nginx-down.sh" "$dir/open"
  bash "$source/dev/services/nginx-down.sh" "$dir/closed"
  bash "$source/dev/services/nginx-down.sh" "$dir/tls"
  [ -z "$python" ] || kill "$python" 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
export HOME=$dir MLP_TEST_FOLDER=$dir/served
mkdir "$dir/served"

port=$(bash "$source/dev/services/nginx-up.sh" "$dir/open" "$dir/served")
MLP_TEST_HTTP=http://127.0.0.1:$port "$suite" "[http]"

for fault in "${faults[@]}"; do
  faulty "$port" $fault # in words
  MLP_TEST_HTTP=http://127.0.0.1:$proxy "$suite" "[http]" || not_under "$fault"
done

# By TLS, with an authority that must not be trusted unasked.
tls=$(TLS=yes bash "$source/dev/services/nginx-up.sh" "$dir/tls" "$dir/served")
MLP_CA_FILE=$dir/tls/cert.pem MLP_TEST_HTTP=https://localhost:$tls "$suite" "[http]"
if MLP_TEST_HTTP=https://localhost:$tls "$suite" "http: objects*" >"$dir/untrusted"; then
  echo "FAIL: a certificate of nobody's was trusted"
  exit 1
fi
grep -q "is not trusted" "$dir/untrusted" || {
  cat "$dir/untrusted"
  exit 1
}

htpasswd -bc "$dir/passwords" ada lovelace 2>/dev/null
port=$(bash "$source/dev/services/nginx-up.sh" "$dir/closed" "$dir/served" "$dir/passwords")
export MLP_TEST_HTTP=http://127.0.0.1:$port
if "$suite" "http: objects*" >"$dir/refused"; then
  echo "FAIL: read without the password"
  exit 1
fi
grep -q "answered 401" "$dir/refused"
printf 'machine 127.0.0.1 login ada password lovelace\n' >"$dir/.netrc"
chmod 600 "$dir/.netrc"
"$suite" "http: objects*"

python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$dir/served" >"$dir/python" 2>&1 &
python=$!
until grep -q 'port [0-9]' "$dir/python"; do
  kill -0 "$python"
  sleep 0.05
done
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$dir/python")
MLP_TEST_HTTP=http://127.0.0.1:$port "$suite" "[http]"
