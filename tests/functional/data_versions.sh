#!/usr/bin/env bash
# Versions of a dataset: tags, log, diff, cat, ls, checkout, fetch and export, here and with a
# remote.
source "$(dirname "$0")/lib.sh"

mkdir -p ada/data/sub ada/data/same shared
cd ada || exit 1
printf 'name: t\n' >mlp.yaml
echo one >data/a.txt
echo two >data/sub/b.txt
head -c 300000 /dev/urandom >data/sub/noise
for i in 1 2 3; do echo "$i" >"data/same/$i"; done
mlp data add set data >/dev/null
mlp remote add origin "file://$TEST_DIR/work/shared/store" >/dev/null
expect_exit 0 mlp data tag set v1
contains "$out" "set: v1 is"
cp -r data ../first
version_of() { sed -n 's/.*sha256:\([0-9a-f]*\)/\1/p' mlp.lock; }
first=$(version_of)

# A second version: one file changed, one renamed, one gone, one new.
echo one more >data/a.txt
mv data/sub/noise data/moved
rm data/same/2
echo new >data/new.txt
sleep 0.3
mlp data add >/dev/null
second=$(version_of)
cp -r data ../second
expect_exit 0 mlp data diff set@v1
expect_exit 0 mlp data diff set@v1 set
contains "$out" "1 added, 1 removed, 1 modified, 1 renamed; 13 B in, 6 B out"
contains "$out" "  modified  a.txt  (4 B -> 9 B)"
contains "$out" "  renamed   sub/noise -> moved  (293.0 KiB)"
contains "$out" "  removed   same/2  (2 B)"
contains "$out" "  added     new.txt  (4 B)"
expect_exit 0 mlp data diff "set@$second" v1 --json
equals "$(jq -r '.changes[] | select(.kind == "renamed") | .old_path' <<<"$out")" moved
expect_exit 0 mlp data diff set@v1 "${first:0:8}"
contains "$out" "no difference"
expect_exit 2 mlp data diff set
expect_exit 4 mlp data diff set@v11
contains "$err" "did you mean 'v1'?"

expect_exit 0 mlp data log set
equals "$(wc -l <<<"$out")" 2
contains "$(sed -n 1p <<<"$out")" "* ${second:0:12}"
contains "$(sed -n 2p <<<"$out")" "${first:0:12}"
contains "$(sed -n 2p <<<"$out")" "[v1]"

# Files of versions without a checkout.
equals "$(mlp data cat set a.txt)" "one more"
equals "$(mlp data cat set@v1 a.txt)" "one"
mlp data cat set@v1 sub/noise | cmp - ../first/sub/noise
expect_exit 2 mlp data cat set@v1 sub
contains "$err" "is a folder"
expect_exit 4 mlp data cat set new.tx
expect_exit 0 mlp data ls set@v1 same/
equals "$(awk '{ print $3 }' <<<"$out" | tr '\n' ' ')" "same/1 same/2 same/3 "
expect_exit 4 mlp data ls set@v1 nowhere

# Tags do not move by themselves, and cannot be mistaken for digits.
expect_exit 5 mlp data tag set v1
contains "$err" "names version ${first:0:12}"
expect_exit 2 mlp data tag set latest
expect_exit 2 mlp data tag set beef
expect_exit 2 mlp data tag set ../../x
expect_exit 2 mlp data tag set@ x
mlp data tag set tmp >/dev/null
mlp data tag set tmp --delete >/dev/null
expect_exit 4 mlp data tag set tmp --delete

# To the first version and back; local changes stay.
expect_exit 0 mlp data checkout set@v1
diff -r ../first data || fail "not the first version"
equals "$(version_of)" "$first"
echo mine >data/a.txt
expect_exit 5 mlp data checkout "set@$second"
equals "$(cat data/a.txt)" mine
mlp data checkout "set@$second" --force >/dev/null
diff -r ../second data || fail "not the second version"

# A push sends the tags of its version; elsewhere everything can be had by name.
mlp data push >/dev/null
mlp data checkout set@v1 >/dev/null
mlp data push >/dev/null
mlp data checkout "set@$second" >/dev/null
mlp data tag set v2 --remote origin >/dev/null
mkdir ../grace
cp mlp.yaml ../grace
cd ../grace || exit 1
expect_exit 4 mlp data log grace
expect_exit 0 mlp data log set --remote origin
contains "$out" "[v2]"
contains "$out" "(not here)"
equals "$(mlp data cat set@v1 a.txt)" one
expect_exit 0 mlp data diff set@v1 v2
contains "$out" "1 renamed"
expect_exit 0 mlp data fetch set@v1
[ ! -e data ] || fail "fetch has written files"
[ ! -e mlp.lock ] || fail "fetch has pinned a version"
expect_exit 0 mlp data export set@v1 out/first
diff -r ../first out/first || fail "the export differs"
expect_exit 5 mlp data export set@v1 out/first
expect_exit 0 mlp data checkout set@v1
diff -r ../first data || fail "the checkout differs"
expect_exit 4 mlp data checkout set@v2
contains "$err" "mlp data fetch set@"
expect_exit 0 mlp data fetch set@latest # the last one that was pushed: the first
contains "$out" "${first:0:12}: fetched 0 B"
expect_exit 0 mlp data fetch set@v2
mlp data checkout "set@${second:0:6}" >/dev/null
diff -r ../second data || fail "the checkout of v2 differs"
expect_exit 0 mlp data checkout set@v2
contains "$out" "wrote 0 files"

# A part of a version, of which nothing else is fetched.
mkdir -p parts/set/train/cats parts/set/train/dogs parts/set/test parts/one
cd parts
printf 'name: t\ndatasets:\n  set: {path: set}\nremotes:\n  origin: file:store?link=no\n' >mlp.yaml
for i in 1 2 3; do
  for folder in train/cats train/dogs test; do head -c 300000 /dev/urandom >"set/$folder/$i.bin"; done
done
echo a,b >set/labels.csv
echo c,d >set/test/labels.csv
mlp data add >/dev/null
mlp data push >/dev/null
cp mlp.yaml mlp.lock one
sed -i 's#file:store#file:../store#' one/mlp.yaml
cd one
expect_exit 0 mlp data export set some --only train/cats --only '/labels.csv'
contains "$out" "4 files"
equals "$(cd some && find . -type f | sort | tr '\n' ' ')" "./labels.csv ./train/cats/1.bin ./train/cats/2.bin ./train/cats/3.bin "
cmp some/train/cats/2.bin ../set/train/cats/2.bin
[ "$(du -sk .mlp/objects | cut -f1)" -lt 1200 ] || fail "more than the part was fetched"
expect_exit 0 mlp data export set tables --only '*.csv' --json
contains "$out" '"files": 2'
# A fetch that was cut off in the middle is gone on from.
pack=$(ls -S ../store/packs/* | head -1)
cp "$pack" ../pack && chmod u+w "$pack"
dd if=/dev/zero of="$pack" bs=1000 seek=2000 count=100 conv=notrunc status=none
expect_exit 8 mlp data export set all --only '*'
mv -f ../pack "$pack"
rm -rf all
expect_exit 0 mlp data export set all
diff -r all ../set || fail "the export differs"
expect_exit 4 mlp data export set none --only '*.png'
contains "$err" "matches"
[ ! -e none ] || fail "an empty folder was made"
cd ../..
