# ssh that is cut, that hangs, that is slow to give up, and a full disk at the other end: pull and push
# go on over a new connection or end in an error that says where, and nothing half is ever seen.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/ssh_lib.sh"
export MLP_NET_TIMEOUT=3s

mkdir srv ada ada/data
cd ada
printf 'name: t\n' >mlp.yaml
head -c 150000000 /dev/urandom >data/noise.bin
mlp data add set data >/dev/null
mlp remote add origin "ssh://localhost$TEST_DIR/work/srv/team" >/dev/null

# in_background CODE COMMAND: starts it; finished checks its code, and fills $err.
in_background() {
  "$@" >/dev/null 2>"$TEST_DIR/err" &
  worker=$!
}
finished() {
  local code=0
  wait "$worker" || code=$?
  err=$(cat "$TEST_DIR/err")
  [ "$code" = "$1" ] || fail "it exited $code, not $1: $err"
}
writing() { [ -n "$(find "$TEST_DIR/work/srv" -path '*/.tmp/*' -size +2M 2>/dev/null)" ]; }
fetching() { [ "$(du -s .mlp/objects 2>/dev/null | cut -f1)" -gt 8000 ]; }

# The connection is cut in the middle of a push that may not connect again: an error. The next push
# sends the rest, over a new connection if it has to.
MLP_NET_ATTEMPTS=1 in_background "$MLP" data push
wait_until 20 writing
serving | xargs -r kill -9
finished 7
contains "$err" "host 'localhost'"
contains "$err" "while writing object 'packs/"
contains "$err" "run the command again"
abandoned() { [ -z "$(find "$TEST_DIR/work/srv/team/.tmp" -type f)" ]; }
wait_until 10 abandoned
in_background "$MLP" data push
wait_until 20 writing
serving | xargs -r kill -9
finished 0
expect_exit 0 mlp data verify --remote origin
wait_until 10 abandoned

# In the middle of a pull: it goes on over another connection.
mkdir ../grace
cp mlp.yaml mlp.lock ../grace
cd ../grace
in_background "$MLP" data pull
wait_until 20 fetching
serving | xargs -r kill -9
finished 0
cmp ../ada/data/noise.bin data/noise.bin
# And while nobody answers for a second.
rm -rf .mlp data
in_background "$MLP" data pull
wait_until 20 fetching
ssh_end
sleep 1
ssh_start # on another port, which the same file tells
finished 0
cmp ../ada/data/noise.bin data/noise.bin

# ssh that hangs is given up in time; Ctrl-C does not wait for it.
rm -rf .mlp data
in_background "$MLP" data pull
wait_until 20 fetching
connecting | xargs kill -STOP
begin=$SECONDS
finished 0 # over another ssh
cmp ../ada/data/noise.bin data/noise.bin
rm -rf .mlp data
MLP_NET_ATTEMPTS=1 in_background "$MLP" data pull
wait_until 20 fetching
connecting | xargs kill -STOP
finished 7
contains "$err" "host 'localhost' neither sent nor took data for 3"
contains "$err" "while reading object 'packs/"
[ $((SECONDS - begin)) -lt 25 ] || fail "it took $((SECONDS - begin)) s to give up"
[ -z "$(connecting)" ] || fail "an ssh of ours is left"
cd ../ada
head -c 150000000 /dev/urandom >data/noise.bin
mlp data add >/dev/null
MLP_NET_TIMEOUT=60s in_background "$MLP" data push
wait_until 20 writing
connecting | xargs kill -STOP
begin=$SECONDS
kill -INT "$worker"
finished 130
[ $((SECONDS - begin)) -lt 5 ] || fail "it took $((SECONDS - begin)) s to stop"
[ -z "$(connecting)" ] || fail "an ssh of ours is left"

# mlp at the other end hangs: the same.
MLP_NET_ATTEMPTS=1 in_background "$MLP" data push
wait_until 20 writing
pgrep -f "$MLP storage-serve $TEST_DIR" | xargs kill -STOP
finished 7
contains "$err" "neither sent nor took data"
pgrep -f "$MLP storage-serve $TEST_DIR" | xargs -r kill -9

# A host that takes the connection and says nothing.
python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(60)
' >"$TEST_DIR/mute" &
wait_until 10 test -s "$TEST_DIR/mute"
mlp remote add mute "ssh://127.0.0.1:$(cat "$TEST_DIR/mute")/x" >/dev/null
begin=$SECONDS
MLP_SSH_COMMAND=ssh MLP_NET_TIMEOUT=2s expect_exit 7 setsid -w "$MLP" data push --remote mute
contains "$err" "mlp at host '127.0.0.1' did not answer within 2"
[ $((SECONDS - begin)) -lt 10 ] || fail "it took $((SECONDS - begin)) s to give up"

# A full disk there.
small_disk 20m
mkdir "$TEST_DIR/disk/srv"
mlp remote add full "ssh://localhost$TEST_DIR/disk/srv/team" >/dev/null
expect_exit 1 mlp data push --remote full
contains "$err" "No space left on device"
contains "$err" "localhost"
nothing_half() { [ -z "$(find "$TEST_DIR/disk/srv/team/.tmp" -type f)" ]; }
wait_until 10 nothing_half
[ ! -e "$TEST_DIR/disk/srv/team/refs/datasets" ] || fail "a ref without its objects"
ssh_end
