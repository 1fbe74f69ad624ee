# kill -9 at random moments of add and push loses nothing that was acknowledged, and the next command
# goes on; several commands at once do no harm; a full disk and a read-only folder are clear errors.

source "$(dirname "$0")/lib.sh"

mkdir -p data
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: file:store\n' >mlp.yaml
head -c 40000000 /dev/urandom >data/first
mlp data add >/dev/null
mlp data push >/dev/null
acknowledged=$(cat mlp.lock)

for round in 1 2 3 4 5 6; do
  head -c 30000000 /dev/urandom >"data/file$round"
  verb=add
  [ $((round % 2)) = 0 ] && mlp data add >/dev/null && acknowledged=$(cat mlp.lock) && verb=push
  "$MLP" data $verb >/dev/null 2>&1 &
  victim=$!
  sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
  kill -9 $victim 2>/dev/null || true
  wait $victim 2>/dev/null || true
  if [ "$(cat mlp.lock)" != "$acknowledged" ]; then
    acknowledged=$(cat mlp.lock) # it was quick enough to finish
  fi
  expect_exit 0 mlp data status
  mlp data add >/dev/null
  acknowledged=$(cat mlp.lock)
  expect_exit 0 mlp data verify
done
mlp data push >/dev/null
expect_exit 0 mlp data verify --remote origin
# A ref that was being written stays for an hour: it has no lock by which its writer is known.
equals "$(find .mlp/objects/tmp store/.tmp -type f ! -name '.ref.*' ! -name '.listing.*' | wc -l)" 0

# At once.
echo more >data/more
"$MLP" data add >/dev/null &
one=$!
"$MLP" data add >/dev/null &
two=$!
wait $one || fail "the first of two adds failed"
wait $two || fail "the second of two adds failed"
"$MLP" data push >/dev/null &
one=$!
"$MLP" data push >/dev/null &
two=$!
wait $one || fail "the first of two pushes failed"
wait $two || fail "the second of two pushes failed"
expect_exit 0 mlp data verify

if [ "$(id -u)" != 0 ]; then
  chmod -R a-w store
  echo again >data/more
  mlp data add >/dev/null
  expect_exit 6 mlp data push
  chmod -R u+w store
fi

small_disk 8m
mkdir "$TEST_DIR/disk/p"
cd "$TEST_DIR/disk/p"
mkdir data
echo kept >data/kept
printf 'name: t\ndatasets:\n  set: {path: data}\n' >mlp.yaml
mlp data add >/dev/null
kept=$(cat mlp.lock)
head -c 5000000 /dev/urandom >data/large
expect_exit 1 mlp data add
equals "$(cat mlp.lock)" "$kept"
rm data/large
expect_exit 0 mlp data verify
expect_exit 0 mlp data add

# Garbage on a full disk: a pack that cannot be written anew stays as it was; with room for the nodes
# alone, packs that nobody needs go first and make more.
for i in 1 2 3 4 5 6 7 8; do head -c 250000 /dev/urandom >data/m$i; done
mlp data add >/dev/null # a pack of all of them
rm data/m[1-6]
mlp data add >/dev/null
kept=$(find data -type f -exec sha256sum {} + | sort)
fill_disk() { cat /dev/zero >"$TEST_DIR/disk/filler" 2>/dev/null || true; }
restored() {
  expect_exit 0 mlp data verify
  rm -r data
  expect_exit 0 mlp data pull
  equals "$(find data -type f -exec sha256sum {} + | sort)" "$kept"
}
expect_exit 0 mlp data gc --dry-run
fill_disk
expect_exit 1 mlp data gc
contains "$err" "No space left"
expect_exit 0 mlp data verify
rm "$TEST_DIR/disk/filler"
restored
head -c 1500000 /dev/urandom >data/alone
mlp data add >/dev/null # a pack of its own
rm data/alone
mlp data add >/dev/null
fill_disk
truncate -s -131072 "$TEST_DIR/disk/filler"
expect_exit 0 mlp data gc
rm "$TEST_DIR/disk/filler"
restored
