# A team's work over a bucket of a real object store: push, pull elsewhere, verify, push again; over
# TLS with a private authority; two pushes at once; kill -9 and on again; and what the errors say.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/s3_lib.sh"

url="s3://team/digits?endpoint=http://127.0.0.1:$S3_HTTP"
mkdir -p ada/data/sub
cd ada
printf 'name: t\n' >mlp.yaml
head -c 30000000 /dev/urandom >data/noise.bin
for i in $(seq 200); do echo "file $i" >"data/sub/$i.txt"; done
mlp data add set data >/dev/null

expect_exit 0 mlp remote add origin "$url"
equals "$out" "origin is $url"
expect_exit 0 mlp data push
contains "$out" "sent to origin"
expect_exit 0 mlp data push
contains "$out" "nothing to send"
expect_exit 0 mlp data verify --remote origin
[ "$(du -s "$HOME" | cut -f1)" -lt 1000 ] || fail "something large was left in HOME"

cd ..
mkdir grace
cp ada/mlp.yaml ada/mlp.lock grace
cd grace
expect_exit 0 mlp data pull
diff -r ../ada/data data || fail "pulled files differ"

# The same place over TLS: an authority that is not the system's must be named.
sed -i "s#http://127.0.0.1:$S3_HTTP#https://localhost:$S3_HTTPS#" mlp.yaml
expect_exit 7 mlp data push
contains "$err" "is not trusted"
contains "$err" "net.ca_file"
MLP_CA_FILE=$CEPH/cert.pem expect_exit 0 mlp data push
contains "$out" "nothing to send"
AWS_CA_BUNDLE=$CEPH/cert.pem expect_exit 0 mlp data push
cp ../ada/mlp.yaml .

# A small edit of a large file is a small push; both of two pushes at once win.
sleep 0.3
printf 'x' | dd of=data/noise.bin bs=1 seek=15000000 conv=notrunc status=none
mlp data add >/dev/null
echo mine >../ada/data/mine.txt
(cd ../ada && mlp data add >/dev/null && mlp data push >"$TEST_DIR/ada.out" 2>&1) &
expect_exit 0 mlp data push --json
wait $! || fail "the other push failed: $(cat "$TEST_DIR/ada.out")"
sent=$(jq '[.. | .sent_bytes? // .bytes_sent? // empty] | add // 0' <<<"$out")
[ "$sent" -lt 2000000 ] || fail "a small edit sent $sent bytes"
cp mlp.lock ../ada/grace.lock

# Garbage of the remote: the version before the edit goes, the latest stays whole.
expect_exit 0 mlp data gc --remote origin --older-than 0s
contains "$out" "forgot"
expect_exit 0 mlp data verify --remote origin
mkdir ../after
cp mlp.yaml mlp.lock ../after
(cd ../after && expect_exit 0 mlp data pull && expect_exit 0 mlp data verify)

# kill -9 at random moments, and on.
cd ../ada
head -c 60000000 /dev/urandom >data/more.bin
mlp data add >/dev/null
for wait in 0.05 0.2 0.4 0.7; do
  "$MLP" data push >/dev/null 2>&1 &
  victim=$!
  sleep "$wait"
  kill -9 "$victim" 2>/dev/null || true
  wait "$victim" 2>/dev/null || true
done
expect_exit 0 mlp data push
expect_exit 0 mlp data verify --remote origin
rm -rf .mlp data
expect_exit 0 mlp data pull
equals "$(stat -c %s data/more.bin)" 60000000

# Errors name the place and the remedy, and no secret.
AWS_SECRET_ACCESS_KEY=hunter2 expect_exit 6 mlp data push
contains "$err" "does not accept the credentials of the environment (SignatureDoesNotMatch)"
contains "$err" "127.0.0.1:$S3_HTTP"
contains "$err" "AWS_SECRET_ACCESS_KEY"
lacks "$err" "hunter2"
AWS_ACCESS_KEY_ID=NOBODY expect_exit 6 mlp data push
contains "$err" "InvalidAccessKeyId"
(
  unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
  AWS_EC2_METADATA_DISABLED=true expect_exit 6 mlp data push
  contains "$err" "no S3 credentials"
  mkdir -p "$HOME/.aws"
  printf '[team]\naws_access_key_id = AKTEST\naws_secret_access_key = SKTEST\n' >"$HOME/.aws/credentials"
  AWS_PROFILE=team expect_exit 0 mlp data push
)
mlp remote add nowhere "s3://none-such?endpoint=http://127.0.0.1:$S3_HTTP" >/dev/null
expect_exit 4 mlp data push --remote nowhere
contains "$err" "no bucket 'none-such'"
mlp remote add closed "s3://team?endpoint=http://127.0.0.1:1" >/dev/null
MLP_NET_ATTEMPTS=2 expect_exit 7 mlp data push --remote closed
contains "$err" "127.0.0.1:1"
expect_exit 3 mlp remote add secret "s3://AK:hunter2@team"
lacks "$err" "hunter2"
expect_exit 3 mlp remote add wrong "s3://team?endpont=https://x"
contains "$err" "endpoint"
bash "$MLP_SOURCE/dev/services/ceph-down.sh" "$CEPH"
