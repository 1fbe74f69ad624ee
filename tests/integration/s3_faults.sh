# A network and a store that misbehave: every push and pull ends well after another attempt, or in an
# error that names object, place and remedy. Never a wrong byte.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/s3_lib.sh"
export MLP_NET_TIMEOUT=2s

mkdir -p ada/data
cd ada
printf 'name: t\n' >mlp.yaml
head -c 24000000 /dev/urandom >data/noise.bin
seq 100000 >data/numbers.txt
mlp data add set data >/dev/null

# round FAULT EVERY [METHODS]: push and pull through it, to a prefix of its own.
round() {
  faults "$S3_HTTP" "$@"
  printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: "s3://team/%s?endpoint=http://127.0.0.1:%s"\n' \
    "$1" "$proxy" >mlp.yaml
  expect_exit 0 mlp data push
  rm -rf ../clone
  mkdir ../clone
  cp mlp.yaml mlp.lock ../clone
  (
    cd ../clone
    expect_exit 0 mlp data pull
    diff -r ../ada/data data || fail "files pulled under '$1' differ"
  ) || exit 1
  no_faults
}
round none 1
round 500 3
round slowdown 5
round reset 3
round lost 3
round truncate 3 GET
round stall 6 GET

# Wrong bytes of the right length are found, by name; the next pull is well.
faults "$S3_HTTP" flip 1 GET
cd ../clone
sed -i "s#/stall?endpoint=.*\"#/none?endpoint=http://127.0.0.1:$proxy\"#" mlp.yaml
rm -rf .mlp data
expect_exit 8 mlp data pull
contains "$err" "127.0.0.1:$proxy"
contains "$err" "hint:"
no_faults
faults "$S3_HTTP" none 1
sed -i "s#127.0.0.1:[0-9]*#127.0.0.1:$proxy#" mlp.yaml
expect_exit 0 mlp data pull
diff -r ../ada/data data || fail "files differ after a damaged transfer"

# Nothing but faults: an error within the bounds, and no half of a push is seen.
no_faults
faults "$S3_HTTP" 500 1
cd ../ada
sed -i "s#/stall?endpoint=.*\"#/broken?endpoint=http://127.0.0.1:$proxy\"#" mlp.yaml
MLP_NET_ATTEMPTS=3 expect_exit 7 mlp data push
contains "$err" "500 InternalError 3 times"
contains "$err" "hint:"
no_faults

# A store that hangs: given up, or waited for if it comes back in time.
sed -i "s#endpoint=.*\"#endpoint=http://127.0.0.1:$S3_HTTP\"#" mlp.yaml
osd=$(cat "$CEPH/run/osd.0.pid")
kill -STOP "$osd"
begin=$SECONDS
MLP_NET_ATTEMPTS=2 expect_exit 7 mlp data push
contains "$err" "neither sent nor took data for"
[ $((SECONDS - begin)) -lt 30 ] || fail "it took $((SECONDS - begin)) s to give up"
(sleep 4 && kill -CONT "$osd") &
expect_exit 0 mlp data push
expect_exit 0 mlp data verify --remote origin

# Ctrl-C ends a push that waits, at once.
kill -STOP "$osd"
echo more >data/more.txt
mlp data add >/dev/null
MLP_NET_TIMEOUT=60s "$MLP" data push >/dev/null 2>"$TEST_DIR/err" &
push=$!
sleep 1
begin=$SECONDS
kill -INT "$push"
code=0
wait "$push" || code=$?
kill -CONT "$osd"
equals "$code" 130
[ $((SECONDS - begin)) -lt 8 ] || fail "it took $((SECONDS - begin)) s to stop"
bash "$MLP_SOURCE/dev/services/ceph-down.sh" "$CEPH"
