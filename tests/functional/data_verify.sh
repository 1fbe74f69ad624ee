# A flipped bit is found, named, and told by exit code 8: in packs, here and on the remote, and in
# the work tree.

source "$(dirname "$0")/lib.sh"

flip() { # FILE OFFSET
  local byte
  chmod u+w "$1"
  byte=$(od -An -tu1 -j "$2" -N1 "$1")
  printf '%b' "\\x$(printf %x $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

mkdir -p data
head -c 500000 /dev/urandom >data/noise.bin
echo small >data/small.txt
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: file:store?link=no\n' >mlp.yaml
mlp data add >/dev/null
mlp data push >/dev/null
expect_exit 0 mlp data verify
contains "$out" "all sound"
expect_exit 0 mlp data verify --remote origin

flip data/noise.bin 1234
expect_exit 8 mlp data verify
contains "$out" "data/noise.bin"
flip data/noise.bin 1234

for place in .mlp/objects store; do
  big=$(find "$place/packs" -size +400k)
  meta=$(find "$place/packs" -type f -size -400k)
  remote=()
  [ "$place" = store ] && remote=(--remote origin)
  flip "$big" 200000
  expect_exit 8 mlp data verify "${remote[@]}"
  contains "$out" "set/noise.bin"
  flip "$big" 200000
  flip "$meta" 70
  expect_exit 8 mlp data verify "${remote[@]}"
  contains "$out" "$(basename "$meta")"
  flip "$meta" 70
  expect_exit 0 mlp data verify "${remote[@]}"
done

# What is missing is told too.
rm "$(find .mlp/objects/packs -size +400k)"
expect_exit 8 mlp data verify
contains "$out" "missing"
rm -rf data
mlp data pull >/dev/null
expect_exit 0 mlp data verify

# A repair keeps what is sound, also of versions that the remote has not got.
cp -r data kept
head -c 700000 /dev/urandom >data/second.bin
mlp data add >/dev/null
mlp data tag set second >/dev/null
mlp data checkout "set@$(mlp data log set --json | jq -r '.versions[1].digest[7:19]')" >/dev/null
cp -r .mlp/objects objects.before
flip "$(find .mlp/objects/packs -size +400k -size -600k)" 200000
expect_exit 8 mlp data verify
expect_exit 2 mlp data verify --repair --remote origin
expect_exit 0 mlp data verify --repair
contains "$err" "1 damaged packs set aside"
contains "$err" "fetched 1 objects"
contains "$out" "all sound"
mlp data checkout set@second >/dev/null
[ "$(stat -c %s data/second.bin)" = 700000 ] || fail "a sound object is lost"
expect_exit 0 mlp data verify
mlp data checkout "set@$(mlp data log set --json | jq -r '.versions[1].digest[7:19]')" >/dev/null
diff -r kept data || fail "the repaired version differs"
# Without a remote the rest is told.
flip "$(find .mlp/objects/packs -size +600k)" 300000
mv store store.away
mkdir store
expect_exit 0 mlp data verify --repair
mlp data cat set@second second.bin >/dev/null 2>&1 && fail "what is lost can be read"
exit 0
