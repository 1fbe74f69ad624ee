# A team's work over a bucket of a real object store: push, pull elsewhere, verify, push again; over
# TLS with a private authority; two pushes at once; kill -9 and on again; and what the errors say.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/s3_lib.sh"
source "$(dirname "$0")/team_lib.sh"

url="s3://team/digits?endpoint=http://127.0.0.1:$S3_HTTP"
ada_pushes "$url"
[ "$(du -s "$HOME" | cut -f1)" -lt 1000 ] || fail "something large was left in HOME"

grace_joins
grace_pulls
mounted "$(cat "$CEPH/run/osd.0.pid")"

# The same place over TLS: an authority that is not the system's must be named.
sed -i "s#http://127.0.0.1:$S3_HTTP#https://localhost:$S3_HTTPS#" mlp.yaml
expect_exit 7 mlp data push
contains "$err" "is not trusted"
contains "$err" "net.ca_file"
MLP_CA_FILE=$CEPH/cert.pem expect_exit 0 mlp data push
contains "$out" "nothing to send"
AWS_CA_BUNDLE=$CEPH/cert.pem expect_exit 0 mlp data push
cp ../ada/mlp.yaml .

both_push
grace_collects
cd ../ada
killed_pushes 0.05 0.2 0.4 0.7
push_goes_on

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

# Files that others have put there, under keys that no object of ours has.
base=http://127.0.0.1:$S3_HTTP/team
head -c 20000000 /dev/urandom >table.bin
put() {
  curl -fsS -o /dev/null -T "$1" --aws-sigv4 aws:amz:us-east-1:s3 -u AKTEST:SKTEST \
    -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$base/$2"
}
put table.bin 'date%3D2024/a%20b.csv'
endpoint="?endpoint=http://127.0.0.1:$S3_HTTP"
expect_exit 0 mlp data import table "s3://team/date=2024/a%20b.csv$endpoint" data/table.bin
cmp table.bin data/table.bin
expect_exit 4 mlp data import none "s3://team/date=2024/none.csv$endpoint"
contains "$err" "no object 'date=2024/none.csv'"
expect_exit 2 mlp data import none "s3://team/$endpoint" data/none
# Interrupted, and gone on from; but not where it was replaced since.
etag=$(curl -fsSI --aws-sigv4 aws:amz:us-east-1:s3 -u AKTEST:SKTEST \
  -H "x-amz-content-sha256: UNSIGNED-PAYLOAD" "$base/date%3D2024/a%20b.csv" |
  tr -d '\r' | sed -n 's/^[Ee][Tt]ag: //p')
rm data/table.bin
head -c 9000000 table.bin >data/table.bin.part
printf %s "$etag" >data/table.bin.part.etag
expect_exit 0 mlp --json data import table "s3://team/date=2024/a%20b.csv$endpoint" data/table.bin
equals "$(jq .resumed_at <<<"$out")" 9000000
cmp table.bin data/table.bin
rm data/table.bin
head -c 9000000 /dev/zero >data/table.bin.part
printf '"0"' >data/table.bin.part.etag
expect_exit 0 mlp --json data import table "s3://team/date=2024/a%20b.csv$endpoint" data/table.bin
equals "$(jq .resumed_at <<<"$out")" 0
cmp table.bin data/table.bin
bash "$MLP_SOURCE/dev/services/ceph-down.sh" "$CEPH"
