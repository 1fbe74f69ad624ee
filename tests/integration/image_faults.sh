# Registries and networks that misbehave: transfers end well after another attempt, or in an error
# that says what is wrong; what was moved is not moved again, killed or not; never a wrong byte.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/registry_lib.sh"
export MLP_NET_TIMEOUT=3s
start_registry plain
plain=$registry
head -c 90000000 /dev/urandom >noise
make_image big:v1 noise
mlp image copy "oci:$TEST_DIR/made:big:v1" big:v1 >/dev/null
digest=$(digest_of "oci:$TEST_DIR/made:big:v1")
store=$XDG_DATA_HOME/mlp/images

round() {
  faulty "$plain" "$@"
  expect_exit 0 mlp image push big:v1 "$proxy/$1:v1"
  XDG_DATA_HOME=$TEST_DIR/pulled-$1 expect_exit 0 mlp image pull "$proxy/$1:v1"
  no_faults
  equals "$(digest_of --tls-verify=false "docker://$plain/$1:v1")" "$digest"
  skopeo copy -q "oci:$TEST_DIR/pulled-$1/mlp/images:$proxy/$1:v1" "dir:$TEST_DIR/dir" # checks digests
  rm -rf "$TEST_DIR/pulled-$1" "$TEST_DIR/dir"
}
round none 1
round 500 3
round slowdown 6
round reset 3
round lost 7
round truncate 2 GET

# Only faults: an error within bounds.
faulty "$plain" 500 1
MLP_NET_ATTEMPTS=2 expect_exit 7 mlp image push big:v1 "$proxy/never:v1"
contains "$err" "hint:"
no_faults

# Wrong bytes of the right length are found, and do not stay.
faulty "$plain" flip 1 GET
XDG_DATA_HOME=$TEST_DIR/flipped expect_exit 8 mlp image pull "$proxy/none:v1"
contains "$err" "does not have that digest"
no_faults
equals "$(find "$TEST_DIR/flipped/mlp/images/.state" -name '*.part' | wc -l)" 0

# A pull that is killed goes on where it was: the registry sends the rest only.
export XDG_DATA_HOME=$TEST_DIR/killed
cat >slow.py <<'PY'
"""A registry that hands out at most 30 MB of a blob for each request, then waits."""
import http.server, sys, time, urllib.request
upstream = sys.argv[1]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_GET(self):
        headers = {k: v for k, v in self.headers.items() if k in ("Accept", "Range")}
        print(self.path.split("/")[-2], headers.get("Range"), file=sys.stderr, flush=True)
        try:
            answer = urllib.request.urlopen(urllib.request.Request(f"http://{upstream}{self.path}", headers=headers))
        except urllib.error.HTTPError as error:
            answer = error
        data = answer.read()
        self.send_response_only(answer.status)
        for name in ("Content-Type", "Content-Range", "Docker-Content-Digest"):
            if answer.headers.get(name):
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:30000000])
        self.wfile.flush()
        if len(data) > 30000000:
            time.sleep(1000)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
python3 slow.py "$plain" >port 2>asked &
wait_until 10 test -s port
slow=127.0.0.1:$(cat port)
MLP_NET_TIMEOUT=60s "$MLP" image pull "$slow/none:v1" >/dev/null 2>&1 &
pull=$!
part_is() { [ "$(find "$TEST_DIR/killed" -name '*.part' -size +29000000c | wc -l)" -ge 1 ]; }
wait_until 20 part_is
kill -9 "$pull"
wait "$pull" 2>/dev/null || true
MLP_NET_TIMEOUT=1s expect_exit 0 mlp image pull "$slow/none:v1"
contains "$(cat asked)" "blobs bytes=30"
equals "$(digest_of "oci:$TEST_DIR/killed/mlp/images:$slow/none:v1")" "$digest"
# A part that was damaged meanwhile (a crash of the machine) is thrown away, not believed.
mlp image rm "$slow/none:v1" >/dev/null
layer=$(find "$TEST_DIR/killed/mlp/images/blobs" -size +80000000c)
name=$(basename "$layer")
head -c 1000000 /dev/zero >"$TEST_DIR/killed/mlp/images/.state/$name.part"
printf 'sha256:%s' "$name" >"$TEST_DIR/killed/mlp/images/.state/$name.part.etag"
rm "$layer"
expect_exit 0 mlp image pull "$plain/none:v1"
export XDG_DATA_HOME=$HOME/.local/share

# A push that is killed leaves no tag; the next one ends it.
faulty "$plain" stall 1000 GET
"$MLP" image push big:v1 "$proxy/killed:v1" >/dev/null 2>&1 &
push=$!
sleep 0.2
kill -9 "$push"
wait "$push" 2>/dev/null || true
expect_exit 4 mlp image inspect "docker://$plain/killed:v1"
expect_exit 0 mlp image push big:v1 "$proxy/killed:v1"
equals "$(digest_of --tls-verify=false "docker://$plain/killed:v1")" "$digest"
no_faults

# A push that failed between two parts of a layer goes on with the second one: two parts were sent, by
# two commands.
faulty "$plain" reset 2 PATCH
MLP_NET_ATTEMPTS=1 expect_exit 7 mlp image push big:v1 "$proxy/parts:v1"
expect_exit 0 mlp image push big:v1 "$proxy/parts:v1"
equals "$(grep -c 'response completed.*method=PATCH.*/v2/parts/' "$TEST_DIR/plain.log")" 2
equals "$(digest_of --tls-verify=false "docker://$plain/parts:v1")" "$digest"
no_faults

# Ctrl-C ends a pull that waits, at once.
XDG_DATA_HOME=$TEST_DIR/stopped MLP_NET_TIMEOUT=60s "$MLP" image pull "$slow/none:v1" >/dev/null 2>&1 &
pull=$!
wait_until 20 sh -c "find '$TEST_DIR/stopped' -name '*.part' -size +29000000c | grep -q ."
begin=$SECONDS
kill -INT "$pull"
code=0
wait "$pull" || code=$?
equals "$code" 130
[ $((SECONDS - begin)) -lt 5 ] || fail "it took $((SECONDS - begin)) s to stop"

# A blob that was damaged in the local store is named, and not published.
layer=$(find "$store/blobs" -size +80000000c)
printf x | dd of="$layer" bs=1 seek=1000 conv=notrunc 2>/dev/null
expect_exit 8 mlp image push big:v1 "$plain/damaged:v1"
contains "$err" "$(basename "$layer")"
expect_exit 4 mlp image inspect "docker://$plain/damaged:v1"

# A full disk: an error that says so; with room the pull goes on.
small_disk 60m
XDG_DATA_HOME=$TEST_DIR/disk expect_exit 1 mlp image pull "$plain/none:v1"
contains "$err" "No space left"
mount -o remount,size=300m "$TEST_DIR/disk"
XDG_DATA_HOME=$TEST_DIR/disk expect_exit 0 mlp image pull "$plain/none:v1"
equals "$(digest_of "oci:$TEST_DIR/disk/mlp/images:$plain/none:v1")" "$digest"
