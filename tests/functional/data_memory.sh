#!/usr/bin/env bash
# What a command takes in memory does not grow with the data: add, push, pull, gc and verify of a file
# of 700 MB of noise stay below 300 MB resident each.
source "$(dirname "$0")/lib.sh"
[ -z "${MLP_SANITIZE:-}" ] || skip "a sanitizer's own memory would be measured"
command -v openssl >/dev/null || skip "openssl is not installed"

# On a disk in memory, where there is room for the file and its copies: the time is the disk's else.
mib=${MIB:-700}
room=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
if [ "$room" -gt $((mib * 6)) ]; then
  mkdir -p "$TEST_DIR/disk"
  mount -t tmpfs -o "size=$((mib * 5))m" tmpfs "$TEST_DIR/disk" 2>/dev/null || true
fi
mkdir -p "$TEST_DIR/disk/w/data"
cd "$TEST_DIR/disk/w"
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: "file:store?link=no"\n' >mlp.yaml

# noise SEED MIB: always the same bytes for a seed, and nothing to compress.
noise() {
  openssl enc -aes-128-ctr -pass "pass:$1" -nosalt -md sha256 -in /dev/zero 2>/dev/null | head -c $(($2 << 20)) || true
}
# peak COMMAND...: runs it; $peak is the most that it had resident, in MB.
peak() {
  expect_exit 0 python3 "$MLP_SOURCE/tests/functional/peak_memory.py" "$TEST_DIR/peak" "$@"
  peak=$(($(cat "$TEST_DIR/peak") / 1000000))
  [ "$peak" -ge 2 ] || fail "a peak of $peak MB was not measured well"
  [ "$peak" -lt 300 ] || fail "'$*' had $peak MB resident"
  echo "mlp ${*:2}: at most $peak MB resident"
}

noise 1 "$mib" >data/large
peak "$MLP" data add
peak "$MLP" data push
contains "$out" "sent to origin"
peak "$MLP" data verify --remote origin
rm -rf .mlp data
peak "$MLP" data pull
noise 1 "$mib" | cmp - data/large
peak "$MLP" data verify
# Half of its chunks are garbage then: packs are written anew.
noise 2 16 >data/other
for at in $(seq 0 16 $((mib - 16))); do
  [ $((at / 16 % 2)) = 0 ] || tail -c +$(((at << 20) + 1)) data/large | head -c 16777216 >>data/half || true
done
rm data/large
mlp data add >/dev/null
peak "$MLP" data gc
contains "$out" "removed"
