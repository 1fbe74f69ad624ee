#!/usr/bin/env bash
# A version as a folder, by a real mount: read as any folder is, through the loss of the remote, new
# versions, signals, and a process that dies.
source "$(dirname "$0")/lib.sh"

[ -e /dev/fuse ] || skip "there is no /dev/fuse"
command -v fusermount3 >/dev/null || skip "fusermount3 is not installed"
mnt=$TEST_DIR/mnt
end_mounts() {
  local status=$?
  set +e
  # The cleanup of lib.sh removes the folder: nothing may be mounted below it then.
  umount -l "$mnt" "$TEST_DIR/two" 2>/dev/null || fusermount3 -uz "$mnt" 2>/dev/null
  (exit "$status")
  cleanup
}
trap end_mounts EXIT
is_mounted() { grep -q " $mnt fuse.mlp " /proc/self/mounts; }
is_not_mounted() { ! is_mounted; }
has_ended() { ! kill -0 "$1" 2>/dev/null; }

mkdir -p ada/data/sub/deep shared
cd ada
printf 'name: t\n' >mlp.yaml
echo one >data/a.txt
: >data/empty
printf '#!/bin/sh\necho ran\n' >data/run.sh
chmod +x data/run.sh
ln -s ../a.txt data/sub/link
head -c 12000000 /dev/urandom >data/sub/noise
seq 200000 >data/sub/numbers
for i in $(seq 700); do echo "file $i" >"data/sub/deep/$i"; done
mlp data add set data >/dev/null
mlp remote add origin "file:$TEST_DIR/work/shared/store" >/dev/null
mlp data tag set v1 >/dev/null
mlp data push >/dev/null
cp -r data ../first

# Elsewhere, with nothing fetched.
mkdir ../grace
cp mlp.yaml mlp.lock ../grace
cd ../grace
expect_exit 0 mlp data mount --detach --json set "$mnt"
equals "$(jq -r .mountpoint <<<"$out")" "$mnt"
equals "$(jq -r .digest <<<"$out")" "$(sed -n 's/.*\(sha256:[0-9a-f]*\)/\1/p' mlp.lock)"
pid=$(jq -r .pid <<<"$out")
is_mounted || fail "not in the table of mounts"
diff -r ../first "$mnt" || fail "the mount differs"
(cd ../first && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$TEST_DIR/sums"
(cd "$mnt" && sha256sum --quiet -c "$TEST_DIR/sums") || fail "other digests"
equals "$("$mnt/run.sh")" ran
equals "$(readlink "$mnt/sub/link")" ../a.txt
equals "$(cat "$mnt/sub/link")" one
equals "$(find "$mnt" -type f | wc -l)" "$(find ../first -type f | wc -l)"
equals "$(stat -c %A "$mnt/a.txt")" -r--r--r--
equals "$(tail -c 7 "$mnt/sub/numbers")" 200000
cmp <(dd if="$mnt/sub/noise" bs=4096 skip=777 count=3 2>/dev/null) \
  <(dd if=../first/sub/noise bs=4096 skip=777 count=3 2>/dev/null)
[ ! -e "$mnt/nothing" ] || fail "a name that is not there"
if touch "$mnt/x" 2>/dev/null || echo more 2>/dev/null >>"$mnt/a.txt" || rm "$mnt/empty" 2>/dev/null; then
  fail "it can be written to"
fi
[ ! -e .mlp/objects/packs ] || fail "the mount has filled the local store"

# A second mount of the same place, one that overlaps, a folder with something in it.
expect_exit 5 mlp data mount -d set "$mnt"
contains "$err" "mlp data unmount"
expect_exit 2 mlp data mount -d set data
expect_exit 2 mlp data mount -d set data/below
expect_exit 2 mlp data mount set .mlp/here
mkdir full && touch full/x
expect_exit 5 mlp data mount -d set full
contains "$err" "is not empty"
expect_exit 4 mlp data mount -d set@v9 "$TEST_DIR/two"
contains "$err" "did you mean 'v1'?"
[ ! -e "$TEST_DIR/two" ] || fail "a folder was left behind"
expect_exit 2 mlp data mount set@v1 "$TEST_DIR/two" --refresh soon
expect_exit 2 mlp data mount set@abcd1234 "$TEST_DIR/two" --refresh 5s

# In use it stays; then it ends, and its process too.
(cd "$mnt/sub" && expect_exit 5 mlp data unmount "$mnt" && contains "$err" "--lazy")
is_mounted || fail "was unmounted while in use"
expect_exit 0 mlp data unmount "$mnt"
wait_until 5 has_ended "$pid"
expect_exit 4 mlp data unmount "$mnt"

# Without the remote: what was read is there, what was not is an error, until it is back.
rm -rf .mlp/cache
pid=$(mlp data mount -d set@v1 "$mnt" --json | jq -r .pid)
cat "$mnt/a.txt" "$mnt/sub/numbers" >/dev/null
mv ../shared/store ../shared/away
equals "$(cat "$mnt/a.txt")" one
cmp "$mnt/sub/numbers" ../first/sub/numbers
if cat "$mnt/sub/noise" >/dev/null 2>"$TEST_DIR/err"; then fail "read without a remote"; fi
contains "$(cat "$TEST_DIR/err")" "Input/output error"
contains "$(cat .mlp/mounts/*.log)" "cannot read 'noise'"
fusermount3 -u "$mnt"
wait_until 5 has_ended "$pid"
pid=$(mlp data mount -d set "$mnt" --json | jq -r .pid) # from the cache alone
cmp "$mnt/sub/numbers" ../first/sub/numbers
mv ../shared/away ../shared/store
same_noise() { cmp "$mnt/sub/noise" ../first/sub/noise; }
wait_until 20 same_noise
diff -r ../first "$mnt" || fail "differs after the remote was back"

# --cache-size bounds what is kept on disk, whatever is read; 0 keeps nothing. The setting has the
# same meaning.
cached() { du -sb --apparent-size .mlp/cache/mount 2>/dev/null | cut -f1; }
mlp data unmount "$mnt" >/dev/null
wait_until 5 has_ended "$pid"
[ "$(cached)" -gt 12000000 ] || fail "without the option only $(cached) bytes are cached"
for how in option setting; do
  rm -rf .mlp/cache
  if [ $how = option ]; then
    pid=$(mlp data mount -d set "$mnt" --cache-size 3MiB --json | jq -r .pid)
  else
    pid=$(MLP_MOUNT_CACHE=3MiB mlp data mount -d set "$mnt" --json | jq -r .pid)
  fi
  diff -r ../first "$mnt" || fail "differs with a small cache"
  # Folders count too, by du.
  [ "$(cached)" -le $((3 * 1024 * 1024 + 16384)) ] || fail "--cache-size 3MiB: $(cached) bytes are cached"
  [ "$(cached)" -ge 1000000 ] || fail "--cache-size 3MiB: only $(cached) bytes are cached"
  mlp data unmount "$mnt" >/dev/null
  wait_until 5 has_ended "$pid"
done
rm -rf .mlp/cache
pid=$(mlp data mount -d set "$mnt" --cache-size 0 --json | jq -r .pid)
diff -r ../first "$mnt" || fail "differs without a cache"
[ "$(cached || echo 0)" -lt 20000 ] || fail "--cache-size 0: $(cached) bytes are cached"
mlp data unmount "$mnt" >/dev/null
wait_until 5 has_ended "$pid"
expect_exit 2 mlp data mount -d set "$mnt" --cache-size much
pid=$(mlp data mount -d set "$mnt" --json | jq -r .pid)

# A process that dies leaves a dead mount, which can be mounted over or taken away.
kill -9 "$pid"
wait_until 5 has_ended "$pid"
if ls "$mnt" >/dev/null 2>&1; then fail "a dead mount can be listed"; fi
pid=$(mlp data mount -d set "$mnt" --json | jq -r .pid)
equals "$(cat "$mnt/a.txt")" one
kill -9 "$pid"
wait_until 5 has_ended "$pid"
expect_exit 0 mlp data unmount "$mnt"
ls "$mnt" >/dev/null || fail "the dead mount is still there"

# Killed while it fills its cache, it reads on from what it had.
rm -rf .mlp/cache
for delay in 0.02 0.05 0.1; do
  pid=$(mlp data mount -d set "$mnt" --json | jq -r .pid)
  cat "$mnt/sub/noise" "$mnt"/sub/deep/* >/dev/null 2>&1 &
  reader=$!
  sleep "$delay"
  kill -9 "$pid"
  wait "$reader" || true
done
pid=$(mlp data mount -d set "$mnt" --json | jq -r .pid)
diff -r ../first "$mnt" || fail "differs after it was killed while reading"
mlp data unmount "$mnt" >/dev/null
wait_until 5 has_ended "$pid"

# In the foreground a signal ends it; while it is in use, with a message.
for signal in INT HUP TERM; do
  rm -f "$TEST_DIR/mounted"
  "$MLP" data mount set "$mnt" >"$TEST_DIR/mounted" 2>"$TEST_DIR/said" &
  pid=$!
  wait_until 10 grep -q "mounted at '$mnt'" "$TEST_DIR/mounted"
  equals "$(cat "$mnt/a.txt")" one
  if [ "$signal" = TERM ]; then
    exec 9<"$mnt/sub/noise"
    kill -TERM "$pid"
    wait_until 10 is_not_mounted
    equals "$(head -c 12000000 <&9 | sha256sum)" "$(sha256sum <../first/sub/noise)"
    exec 9<&-
  else
    kill "-$signal" "$pid"
  fi
  wait "$pid" || fail "SIG$signal: exit code $?"
  is_not_mounted || fail "SIG$signal did not unmount"
done
contains "$(cat "$TEST_DIR/said")" "is in use"

# It follows a tag, 'latest' and the pin; open files keep what they had.
pid=$(mlp data mount -d set@latest "$mnt" --refresh 1s --json | jq -r .pid)
mkdir "$TEST_DIR/two"
mlp data mount -d set "$TEST_DIR/two" --refresh 1s >/dev/null
exec 8<"$mnt/sub/numbers"
head -c 100 <&8 >/dev/null
(
  cd ../ada
  echo two >data/a.txt
  seq 9 >data/sub/numbers
  rm data/empty
  mlp data add >/dev/null
  mlp data push >/dev/null
)
says_two() { [ "$(cat "$mnt/a.txt")" = two ]; }
wait_until 20 says_two
diff -r ../ada/data "$mnt" || fail "the new version differs"
equals "$(tail -c 7 <&8)" 200000
exec 8<&-
equals "$(cat "$TEST_DIR/two/a.txt")" one
cp ../ada/mlp.lock .
pinned_two() { [ "$(cat "$TEST_DIR/two/a.txt")" = two ]; }
wait_until 20 pinned_two
mv ../shared/store ../shared/away # asked in vain, it stays as it is
sleep 2.5
diff -r ../ada/data "$mnt" || fail "the version went with the remote"
mv ../shared/away ../shared/store
(cd ../ada && echo three >data/a.txt && mlp data add >/dev/null && mlp data push >/dev/null)
says_three() { [ "$(cat "$mnt/a.txt")" = three ]; }
wait_until 20 says_three
contains "$(cat .mlp/mounts/*.log)" "shows version"
mlp data unmount --lazy "$mnt" >/dev/null
mlp data unmount "$TEST_DIR/two" >/dev/null
mlp data mount -d set@v1 "$TEST_DIR/two" --refresh 1s >/dev/null # a tag that is moved
equals "$(cat "$TEST_DIR/two/a.txt")" one
(cd ../ada && mlp data tag set v1 --force --remote origin >/dev/null)
tagged_three() { [ "$(cat "$TEST_DIR/two/a.txt")" = three ]; }
wait_until 20 tagged_three
mlp data unmount "$TEST_DIR/two" >/dev/null
wait_until 5 has_ended "$pid"

# A disk that is too small for the cache: what is read is right all the same.
mkdir -p "$TEST_DIR/disk"
if mount -t tmpfs -o size=6m tmpfs "$TEST_DIR/disk" 2>/dev/null; then
  cp mlp.yaml ../ada/mlp.lock "$TEST_DIR/disk"
  pid=$(mlp -C "$TEST_DIR/disk" data mount -d set "$mnt" --json | jq -r .pid)
  diff -r ../ada/data "$mnt" || fail "differs on a full disk"
  if head -c 1000000 /dev/zero >"$TEST_DIR/disk/more" 2>/dev/null; then fail "the disk is not full"; fi
  mlp data unmount "$mnt" >/dev/null
  wait_until 5 has_ended "$pid"
  umount "$TEST_DIR/disk"
fi

# A project elsewhere takes the mount as its dataset, and trains on it unchanged.
cd ..
mlp init digits --template image-classifier >/dev/null 2>&1
cd digits
mlp data add >/dev/null
mlp remote add origin "file:$TEST_DIR/work/shared/digits" >/dev/null
mlp data push >/dev/null
mkdir ../reader
cp mlp.yaml mlp.lock ../reader
cd ../reader
pid=$(mlp data mount -d digits "$mnt" --json | jq -r .pid)
mkdir ../elsewhere
cp mlp.yaml ../elsewhere
cd ../elsewhere
sed -i "s|path: data}|path: $mnt}|" mlp.yaml
expect_exit 0 mlp train -p epochs=1
contains "$out" "succeeded"
equals "$(sed -n 's/.*sha256:\([0-9a-f]*\)/\1/p' mlp.lock)" \
  "$(sed -n 's/.*sha256:\([0-9a-f]*\)/\1/p' ../digits/mlp.lock)"
mlp data unmount "$mnt" >/dev/null
wait_until 5 has_ended "$pid"
