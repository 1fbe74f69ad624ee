# Requests a second and latency of `mlp serve` and of numpy behind Tornado, in one run: the same
# network (784-128-10), the same request of one row, wrk at 1, 8 and 64 connections, medians of
# three. Fails if `mlp serve` drops a request or is slower than the peer.
source "$(dirname "$0")/../functional/lib.sh"
command -v wrk >/dev/null || skip "wrk is not installed"
/usr/bin/python3 -c 'import tornado, numpy, onnx' 2>/dev/null ||
  skip "python3-tornado, python3-numpy or python3-onnx is not installed"
bench=$MLP_SOURCE/tests/bench
seconds=${MLP_BENCH_SECONDS:-4}

/usr/bin/python3 "$bench/serve_net.py"
"$MLP" serve --file net.onnx --port 0 --json >server.json 2>server.err &
server=$!
wait_until 20 test -s server.json
url=$(jq -r .url server.json)
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
OMP_NUM_THREADS=1 /usr/bin/python3 "$bench/serve_peer.py" net.npz "$port" >peer.log 2>&1 &
peer=$!
answers() { curl -s -o /dev/null "http://127.0.0.1:$port/"; }
wait_until 20 answers

# measure URL CONNECTIONS: "requests/s p50 p99 errors", the times in microseconds.
measure() { wrk -t 1 -c "$2" -d "${seconds}s" -s post.lua "$1/v2/models/net/infer" | sed -n 's/^RESULT //p'; }
median() { sort -n | sed -n 2p; }

printf '%-12s %12s %22s %22s %8s\n' connections "" "mlp serve" "Tornado, numpy" ratio
slower=0
for connections in 1 8 64; do
  : >ours.txt
  : >theirs.txt
  for _ in 1 2 3; do # turn by turn, so that both meet the same machine
    measure "$url" "$connections" >>ours.txt
    measure "http://127.0.0.1:$port" "$connections" >>theirs.txt
  done
  awk '$4 != 0 { exit 1 }' ours.txt || fail "a request failed: $(cat ours.txt)"
  read -r ours p50 p99 _ < <(median <ours.txt)
  read -r theirs peer50 peer99 _ < <(median <theirs.txt)
  [ "$theirs" -gt 0 ] || skip "the peer did not answer: this machine is too busy to compare on"
  ratio=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.1f", a / b }')
  printf '%-12s %12s %22s %22s %7sx\n' "$connections" requests/s "$ours" "$theirs" "$ratio"
  printf '%-12s %12s %22s %22s\n' "" "p50, p99 us" "$p50, $p99" "$peer50, $peer99"
  [ "$ours" -gt "$theirs" ] || slower=1
done
kill "$server" "$peer"
wait "$server"
[ "$slower" = 0 ] || fail "slower than the peer"
