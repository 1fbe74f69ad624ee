#!/usr/bin/env bash
# The cache that a user's projects share: what one project fetched or sent another need not fetch,
# checkouts link from it, and nothing in it is trusted.
source "$(dirname "$0")/lib.sh"
export MLP_CACHE_LIMIT=1GiB
cache=$XDG_CACHE_HOME/mlp/data

inode() { stat -c %i "$1"; }
project() { # makes NAME, with the pins of `a`, and goes there
  mkdir -p "$TEST_DIR/work/$1"
  cd "$TEST_DIR/work/$1"
  [ "$1" = a ] || cp ../a/mlp.yaml ../a/mlp.lock .
}
same_as_a() { diff -r "$TEST_DIR/work/a/data" data >/dev/null || fail "the files are not those of a"; }
number() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" | head -1; }

project a
mkdir data
for i in 1 2 3; do head -c 300000 /dev/urandom >data/f$i; done
head -c 9000000 /dev/urandom >data/big
cp data/f1 data/f1-again
chmod +x data/f3
echo small >data/small
# No links with the remote: what is shared is shared by the cache.
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: file:%s/store?link=no\n' "$TEST_DIR" >mlp.yaml
mlp data add >/dev/null
mlp data push >/dev/null
equals "$(ls "$cache/objects/packs" | wc -l)" 2

# Another project has it all from the cache: what the remote still has of it does not matter.
mv "$TEST_DIR/store/packs" "$TEST_DIR/packs"
project b
expect_exit 0 mlp data pull --json
equals "$(number fetched_bytes <<<"$out")" 0
[ "$(number cached_bytes <<<"$out")" -gt 9000000 ] || fail "nothing came from the cache: $out"
same_as_a
mv "$TEST_DIR/packs" "$TEST_DIR/store/packs"
big=$(ls -S "$cache/objects/packs" | head -1)
cmp "$cache/objects/packs/$big" ".mlp/objects/packs/$big"
if ! cp --reflink=always "$cache/objects/packs/$big" "$TEST_DIR/pack" 2>/dev/null; then
  equals "$(inode "$cache/objects/packs/$big")" "$(inode ".mlp/objects/packs/$big")"
fi

# Hard links: read-only, one file for two projects, small ones copied.
project c
expect_exit 0 mlp data pull --link hardlink
project d
expect_exit 0 mlp data pull --link hardlink
same_as_a
for f in big f1 f2 f3; do equals "$(inode data/$f)" "$(inode ../c/data/$f)"; done
equals "$(inode data/f1)" "$(inode data/f1-again)"
equals "$(stat -c %a data/f1 data/f3 data/small | tr '\n' ' ')" "444 555 644 "
[ "$(inode data/small)" != "$(inode ../c/data/small)" ] || fail "a small file was linked"
expect_exit 0 mlp data status
contains "$out" "set: unchanged"
cd ../c
expect_exit 0 mlp data status
contains "$out" "set: unchanged"

# An edit through a link, as only root or chmod can make it, is seen by all, and by the cache.
chmod u+w data/f2
printf x | dd of=data/f2 conv=notrunc status=none
chmod u-w data/f2
for p in c d; do
  cd "../$p"
  expect_exit 0 mlp data status
  contains "$out" "set: changed"
done
project e
expect_exit 0 mlp data pull --link hardlink
same_as_a
cd ../c
expect_exit 5 mlp data checkout set
expect_exit 0 mlp data checkout set --force --link hardlink
same_as_a
equals "$(inode data/f2)" "$(inode ../e/data/f2)"

# Links become copies, and copies links; a change of the executable bit alone leaves the cache be.
expect_exit 0 mlp data checkout set --link copy
for f in big f1 f2 f3; do
  [ "$(inode data/$f)" != "$(inode ../e/data/$f)" ] || fail "$f is still a link"
  [ -w data/$f ] || fail "$f is read-only"
done
same_as_a
expect_exit 0 mlp data checkout set --link copy
contains "$out" "wrote 0 files"
expect_exit 0 mlp data checkout set --link hardlink
equals "$(inode data/f2)" "$(inode ../e/data/f2)"
cd ../a
chmod +x data/f2
mlp data add >/dev/null
mlp data push >/dev/null
cd ../e
cp ../a/mlp.lock .
expect_exit 0 mlp data pull --link hardlink
same_as_a
equals "$(stat -c %a data/f2 ../c/data/f2 | tr '\n' ' ')" "555 444 "

# Reflinks, or the reason why not.
code=0
mlp data checkout set --link reflink 2>"$TEST_DIR/err" || code=$?
if [ "$code" = 0 ]; then
  [ "$(inode data/f1)" != "$(inode ../d/data/f1)" ] || fail "a reflink is a hard link"
  same_as_a
else
  contains "$(cat "$TEST_DIR/err")" "cannot share blocks"
fi
expect_exit 2 mlp data checkout set --link maybe

# By default root gets files that can be written; another user links that are safe from writing.
if [ "$code" != 0 ] && [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
  project f
  expect_exit 0 mlp data pull
  equals "$(stat -c %h data/f1)" 1
  chmod 755 "$TEST_DIR" "$TEST_DIR/work"
  mkdir -p "$TEST_DIR/user"
  cp -r ../a/mlp.yaml ../a/mlp.lock "$TEST_DIR/user"
  chown -R 65534:65534 "$TEST_DIR/user"
  cd "$TEST_DIR/user"
  HOME=$TEST_DIR/user XDG_CACHE_HOME=$TEST_DIR/user/.cache \
    setpriv --reuid=65534 --regid=65534 --clear-groups "$MLP" data pull >/dev/null
  equals "$(stat -c '%h %a' data/f2)" "2 555"
  cd "$TEST_DIR/work/e"
fi

# A damaged pack of the cache: its digests tell, the remote is asked, and the pack is dropped.
big=$(ls -S "$cache/objects/packs" | head -1)
cp "$cache/objects/packs/$big" "$TEST_DIR/pack"
rm "$cache/objects/packs/$big"
printf 'damage' | dd of="$TEST_DIR/pack" bs=1 seek=5000000 conv=notrunc status=none
cp "$TEST_DIR/pack" "$cache/objects/packs/$big"
project g
expect_exit 0 mlp data pull --json
[ "$(number fetched_bytes <<<"$out")" -gt 0 ] || fail "the damaged pack was believed: $out"
same_as_a
expect_exit 0 mlp data verify
cmp -s "$cache/objects/packs/$big" "$TEST_DIR/pack" && fail "the damaged pack is still there"

# A pack that is gone while the index still has it.
rm -f "$cache"/objects/packs/*
project h
expect_exit 0 mlp data pull
same_as_a

# What no project has is bounded: the projects' packs go, and the next command trims.
cd "$TEST_DIR/work"
rm -rf b c d e f g h
project i
MLP_CACHE_LIMIT=1MiB expect_exit 0 mlp data pull
same_as_a
kept=$(find "$cache" -type f \( -name '*.pack' -o -path '*/files/*' \) -links 1 -printf '%s\n' | awk '{s += $1} END {print s + 0}')
[ "$kept" -le $((1024 * 1024)) ] || fail "the cache keeps $kept bytes that no project has"

# No cache at all.
rm -rf "$cache"
project j
MLP_CACHE_LIMIT=0 expect_exit 0 mlp data pull
same_as_a
[ ! -e "$cache" ] || fail "a cache was made all the same"
MLP_CACHE_LIMIT=0 expect_exit 3 mlp data pull --link hardlink
contains "$err" "there is no cache"

# A cache that cannot be written costs a warning at most.
echo in the way >"$TEST_DIR/file"
project k
MLP_CACHE=$TEST_DIR/file/cache expect_exit 0 mlp data pull
same_as_a
