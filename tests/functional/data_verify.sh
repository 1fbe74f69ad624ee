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
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: file:store\n' >mlp.yaml
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
