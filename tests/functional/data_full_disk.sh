#!/usr/bin/env bash
# A disk that is full at any point of pull, fetch, checkout, push, import and gc of a remote: the room
# grows step by step until the command succeeds. Each failure says where there is no room, leaves
# `verify` clean and nothing acknowledged gone; with room the same command succeeds.
source "$(dirname "$0")/lib.sh"

small_disk 64m
disk=$TEST_DIR/disk
outside=$TEST_DIR/work

# room KIB: so much is free on the disk, to a page.
room() {
  rm -f "$disk/filler"
  local free
  free=$(df --output=avail -k "$disk" | tail -1)
  [ "$free" -le "$1" ] || fallocate -l $(((free - $1) * 1024)) "$disk/filler"
}
sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort); }

# grow FROM STEP CHECK COMMAND...: with ever more room, CHECK after each failure (with room again, as
# whoever looks needs some), `reset_$CHECK` before each attempt. It has to fail at least three times.
grow() {
  local kib=$1 step=$2 check=$3 code failures=0
  shift 3
  for (( ; kib < 40000; kib += step)); do
    rm -f "$disk/filler"
    "reset_$check"
    room "$kib"
    code=0
    "$@" >"$TEST_DIR/out" 2>"$TEST_DIR/err" || code=$?
    err=$(cat "$TEST_DIR/err")
    [ "$code" != 0 ] || break
    failures=$((failures + 1))
    [ "$code" = 1 ] || fail "'$*' with $kib KiB of room exited $code, not 1: $err"
    case $err in # seen before, or met
      *"it needs "*" and there are "*" free"* | *"No space left"*) contains "$err" "$disk" ;;
      *) fail "'$*' says nothing of room: $err" ;;
    esac
    # What is seen with the disk as it is: reading needs no room.
    "check_$check"
    rm -f "$disk/filler"
    if [ $((failures % 3)) = 1 ]; then
      expect_exit 0 "$@"
      "done_$check"
    fi
  done
  [ "$code" = 0 ] || fail "'$*' never succeeded: $err"
  [ "$failures" -ge 3 ] || fail "'$*' failed $failures times only: the steps are too large"
  rm -f "$disk/filler"
  "done_$check"
  echo "'$*' failed $failures times, and succeeded with $kib KiB"
}

# A project outside the small disk, and its remote there too.
mkdir -p a/data/sub
cd a
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: "file:%s/store?link=no"\n' "$outside" >mlp.yaml
for i in $(seq 12); do head -c 150000 /dev/urandom >data/f$i; done
head -c 2500000 /dev/urandom >data/large
for i in $(seq 300); do echo "file $i" >data/sub/$i; done
mlp data add >/dev/null
mlp data push >/dev/null
first=$(sed -n 's/.*digest: //p' mlp.lock)
first_sums=$(sums data)
for i in 1 2 3 4; do head -c 150000 /dev/urandom >data/f$i; done
head -c 1000000 /dev/urandom >data/new
rm data/large # so that the first pack is mostly garbage once its version is forgotten
mlp data add >/dev/null
mlp data push >/dev/null
second_sums=$(sums data)
cd ..

# A project on the small disk that has the first version, pinned and in place.
mkdir "$disk/p"
cp a/mlp.yaml "$disk/p"
(
  cd "$disk/p"
  cp "$outside/a/mlp.lock" .
  expect_exit 0 mlp data fetch "set@$first"
  expect_exit 0 mlp data checkout "set@$first"
)
cp -a "$disk/p" before
restored() {
  rm -rf "$disk/p"
  cp -a before "$disk/p"
}
# The store is sound and holds the first version, whole. That mlp.lock may name the second already,
# which has not been fetched, is no damage: it is looked at in a copy with the pin of before.
acknowledged_is_there() {
  rm -rf pinned_before
  mkdir pinned_before
  cp before/mlp.yaml before/mlp.lock pinned_before
  cp -a "$disk/p/.mlp" pinned_before
  expect_exit 0 mlp -C pinned_before data checkout set
  expect_exit 0 mlp -C pinned_before data verify
  equals "$(sums pinned_before/data)" "$first_sums"
}

# pull: the pin is the new one, as git would bring it.
reset_pull() {
  restored
  cp a/mlp.lock "$disk/p"
}
check_pull() { acknowledged_is_there; }
done_pull() {
  equals "$(sums "$disk/p/data")" "$second_sums"
  expect_exit 0 mlp -C "$disk/p" data verify
  expect_exit 0 mlp -C "$disk/p" data status
  contains "$out" "unchanged"
}
grow 0 331 pull "$MLP" -C "$disk/p" data pull

reset_fetch() { reset_pull; }
check_fetch() {
  acknowledged_is_there
  equals "$(sums "$disk/p/data")" "$first_sums" # it touches no file
}
done_fetch() {
  acknowledged_is_there
  expect_exit 0 mlp -C "$disk/p" data checkout set --force
  equals "$(sums "$disk/p/data")" "$second_sums"
}
grow 0 211 fetch "$MLP" -C "$disk/p" data fetch

# checkout of the files over others, with all objects there. A file is the old one or the new one.
cp -a "$disk/p" "$outside/both"
reset_checkout() {
  rm -rf "$disk/p"
  cp -a "$outside/both" "$disk/p"
  expect_exit 0 mlp -C "$disk/p" data checkout "set@$first" --force
}
check_checkout() {
  acknowledged_is_there
  local known
  known=$(printf '%s\n%s\n' "$first_sums" "$second_sums" | sort -u)
  [ -z "$(sums "$disk/p/data" | comm -23 - <(echo "$known"))" ] || fail "a file is neither the old nor the new one: $(
    sums "$disk/p/data" | comm -23 - <(echo "$known"))"
}
done_checkout() { done_pull; }
second=$(sed -n 's/.*digest: //p' a/mlp.lock)
grow 0 199 checkout "$MLP" -C "$disk/p" data checkout "set@$second" --force
rm -rf "$disk/p"

# push to a remote on the small disk that has the first version.
cp -a store with_both
mkdir "$outside/b"
(
  cd "$outside/b"
  sed "s#file:.*store#file:$disk/store#" ../a/mlp.yaml >mlp.yaml
  cp -a ../a/.mlp ../a/mlp.lock .
  mkdir -p data
  expect_exit 0 mlp data checkout "set@$first" --force
  expect_exit 0 mlp data push
)
cp -a "$disk/store" first_store
cp a/mlp.lock b
reset_push() {
  rm -rf "$disk/store"
  cp -a first_store "$disk/store"
}
check_push() {
  rm -rf reader
  mkdir reader
  cp b/mlp.yaml before/mlp.lock reader
  expect_exit 0 mlp -C reader data verify --remote origin
  expect_exit 0 mlp -C reader data pull
  equals "$(sums reader/data)" "$first_sums"
}
done_push() {
  expect_exit 0 mlp -C b data verify --remote origin
  rm -rf reader
  mkdir reader
  cp b/mlp.yaml b/mlp.lock reader
  expect_exit 0 mlp -C reader data pull
  equals "$(sums reader/data)" "$second_sums"
}
grow 0 173 push "$MLP" -C b data push

# gc of a remote that has to write a pack anew to make room: the first version is forgotten.
for ref in "$disk"/store/refs/datasets/set/versions/*; do
  sed -i 's/"time":"[^"]*"/"time":"2020-01-01T00:00:00.000Z"/' "$ref"
done
cp -a "$disk/store" both_store
reset_gc() {
  rm -rf "$disk/store"
  cp -a both_store "$disk/store"
}
check_gc() {
  expect_exit 0 mlp -C b data verify --remote origin
  rm -rf reader
  mkdir reader
  cp b/mlp.yaml b/mlp.lock reader
  expect_exit 0 mlp -C reader data pull
  equals "$(sums reader/data)" "$second_sums"
}
done_gc() { check_gc; }
grow 0 137 gc "$MLP" -C b data gc --remote origin --older-than 1d
rm -rf "$disk/store"

# import of one file, from a folder and from a web server.
head -c 3000000 /dev/urandom >one.bin
python3 -u -m http.server 0 --bind 127.0.0.1 --directory "$outside" >"$TEST_DIR/server" 2>&1 &
wait_until 10 grep -q 'port [0-9]' "$TEST_DIR/server"
url=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$TEST_DIR/server")
mkdir -p q/data
echo kept >q/data/kept
printf 'name: t\ndatasets:\n  set: {path: data/kept}\n' >q/mlp.yaml
mlp -C q data add >/dev/null
reset_import() {
  rm -rf "$disk/q"
  cp -a q "$disk/q"
}
check_import() {
  expect_exit 0 mlp -C "$disk/q" data verify
  expect_exit 0 mlp -C "$disk/q" data status
  contains "$out" "set: unchanged"
}
done_import() {
  cmp one.bin "$disk/q/one.bin" || fail "another file was imported"
  expect_exit 0 mlp -C "$disk/q" data verify
  expect_exit 0 mlp -C "$disk/q" data status
  contains "$out" "one: unchanged"
}
# --force: a file that came whole and found no room in the store lies in place already.
grow 0 619 import "$MLP" -C "$disk/q" data import one "file:$outside/one.bin" one.bin --force
grow 0 619 import "$MLP" -C "$disk/q" data import one "$url/one.bin" one.bin --force
