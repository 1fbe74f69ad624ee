# A file: remote behind a static web server: others pull from it and cannot push to it.
source "$(dirname "$0")/lib.sh"

mkdir -p ada/data shared
cd ada
printf 'name: t\n' >mlp.yaml
echo hello >data/a.txt
head -c 3000000 /dev/urandom >data/noise.bin
mlp data add set data >/dev/null
mlp remote add origin "file:$TEST_DIR/work/shared/store" >/dev/null
mlp data push >/dev/null

python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$TEST_DIR/work/shared" \
  >"$TEST_DIR/server" 2>&1 &
wait_until 10 grep -q 'port [0-9]' "$TEST_DIR/server"
port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$TEST_DIR/server")

cd ..
mkdir grace
sed '/remotes:/,$d' ada/mlp.yaml >grace/mlp.yaml
cp ada/mlp.lock grace
cd grace
expect_exit 0 mlp remote add origin "http://127.0.0.1:$port/store"
expect_exit 0 mlp data pull
diff -r ../ada/data data || fail "pulled files differ"
expect_exit 0 mlp data verify --remote origin

# A newer version is seen as soon as it is pushed; pushing from here is refused.
echo more >../ada/data/b.txt
(cd ../ada && mlp data add >/dev/null && mlp data push >/dev/null)
cp ../ada/mlp.lock .
expect_exit 0 mlp data pull
equals "$(cat data/b.txt)" more
echo mine >data/c.txt
mlp data add >/dev/null
expect_exit 6 mlp data push
contains "$err" "is read-only"
contains "$err" "hint:"

expect_exit 0 mlp remote add other "http://127.0.0.1:$port/nothing"
expect_exit 4 mlp data pull --remote other
contains "$err" "listing.txt"
expect_exit 3 mlp remote add secret "http://ada:hunter2@127.0.0.1:$port/store"
lacks "$err" "hunter2"
