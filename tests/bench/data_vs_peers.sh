#!/usr/bin/env bash
# Datasets beside the tools that people use for them today, on one disk, taking turns: the best of
# ROUNDS of each. `SECTIONS="small large edits many dedup mnist"` chooses; FILES, MIB, EDIT_MIB and MANY
# set the sizes. Peers that are not installed are left out. `large`, `edits` and `many` print the most
# that each command of mlp had in memory, too.
source "$(dirname "$0")/lib.sh"
rounds=${ROUNDS:-3} files=${FILES:-15000} mib=${MIB:-2048} edit_mib=${EDIT_MIB:-5120}
many=${MANY:-1000000} sections=${SECTIONS:-small large edits many dedup mnist}
mnist_folder=${MLP_BENCH_DATA:-/usr/share/datasets/fashion-mnist}
dir=$(mktemp -d "${TMPDIR:-/tmp}/mlp-data-bench.XXXXXX")
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
export HOME=$dir/home RESTIC_PASSWORD=x BORG_PASSPHRASE=x BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@localhost GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@localhost
mkdir -p "$HOME"
cd "$dir"

has() { command -v "$1" >/dev/null; }
silently() { "$@" >/dev/null 2>&1; }
# take NAME COMMAND...: appends the seconds to times/NAME.
take() {
  local name=$1
  shift
  mkdir -p times
  seconds silently "$@" >>"times/$name" || {
    echo "$name failed: $*" >&2
    return 1
  }
}
# tracked COMMAND...: mlp's data COMMAND; the most bytes it had resident go to peaks/COMMAND.
tracked() {
  mkdir -p "$dir/peaks"
  python3 "$MLP_SOURCE/tests/functional/peak_memory.py" "$dir/peak" "$MLP" -C "$1" data "${@:2}" || return
  cat "$dir/peak" >>"$dir/peaks/$2"
  echo >>"$dir/peaks/$2"
}
# peaks WHAT: the largest of each command since the last time.
peaks() {
  local file
  for file in "$dir"/peaks/*; do
    awk -v what="$1" -v verb="$(basename "$file")" '$1 > most { most = $1 }
      END { printf "%-44s at most %d MB resident\n", what ": data " verb, most / 1e6 }' "$file"
  done
  rm -rf "$dir/peaks"
}
best_of() { best <"times/$1"; }
# row WHAT NAME PEER: mlp's seconds, the peer's, and their ratio.
row() {
  [ -e "times/$3" ] || return 0
  awk -v what="$1" -v a="$(best_of "$2")" -v b="$(best_of "$3")" \
    'BEGIN { printf "%-44s mlp %8.2f s   peer %8.2f s   %5.2fx\n", what, a, b, a / b }'
}
new_project() { # FOLDER
  rm -rf "$1"
  mkdir -p "$1"
  printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: file:store\n' >"$1/mlp.yaml"
}
size_of() { du -sb --apparent-size "$1" | cut -f1; }

annex_add() { (cd annex && git annex add -q small && git commit -qm one); }
lfs_add() { (cd lfs && git add -A && git commit -qm one); }
small() {
  python3 - "$files" <<'P'
import os, random, sys
random.seed(1)
for i in range(int(sys.argv[1])):
    folder = f"small/{i // 100}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{i}", "wb") as f:
        f.write(os.urandom(random.randint(2000, 20000)))
P
  for _ in $(seq "$rounds"); do
    new_project p && mv small p/data
    sync
    take small_mlp "$MLP" -C p data add
    mv p/data small
    rm -rf copy && sync
    take small_cp cp -r small copy
    rm -rf copy
    if has restic; then
      rm -rf restic && restic init -q -r restic >/dev/null && sync
      take small_restic restic -q -r restic backup small
    fi
    if has borg; then
      rm -rf borg && borg init -e none borg && sync
      take small_borg borg create borg::one small
    fi
    if has git-annex; then
      rm -rf annex && git init -q annex && git -C annex annex init -q bench && mv small annex/small && sync
      take small_annex annex_add
      git -C annex annex unannex -q small && mv annex/small small && chmod -R u+w annex
    fi
    if has git-lfs; then
      rm -rf lfs && git init -q lfs && (cd lfs && git lfs install --local && git lfs track '*') >/dev/null
      mv small lfs/small && sync
      take small_lfs lfs_add
      mv lfs/small small
    fi
  done
  row "add $files files of 2 to 20 KB / restic" small_mlp small_restic
  row "add $files files of 2 to 20 KB / borg" small_mlp small_borg
  row "add $files files of 2 to 20 KB / cp -r" small_mlp small_cp
  row "add $files files of 2 to 20 KB / git-annex" small_mlp small_annex
  row "add $files files of 2 to 20 KB / git-lfs" small_mlp small_lfs
  chmod -R u+w annex 2>/dev/null || true
  rm -rf small restic borg annex lfs p
}

large() {
  head -c $((mib << 20)) /dev/urandom >big
  durable_cp() { cp big copy && sync copy; }
  add_and_push() { "$MLP" -C p data add && "$MLP" -C p data push; }
  for _ in $(seq "$rounds"); do
    new_project p && mkdir p/data && mv big p/data/big && sync
    take large_mlp add_and_push
    mv p/data/big big
    rm -f copy && sync
    take large_cp cp big copy
    rm -f copy && sync
    take large_durable durable_cp
    rm -f copy && sync
    has rsync && take large_rsync rsync big copy
    rm -f copy
    new_project q && cp p/mlp.lock q/mlp.lock
    sed -i "s#file:store#file:$dir/p/store#" q/mlp.yaml && sync
    take pull_mlp "$MLP" -C q data pull
    cmp big q/data/big
    rm -rf q
    if has rclone; then
      rm -rf there && sync
      take large_rclone rclone copy big there
      rm -rf there
    fi
  done
  row "add + push $mib MiB of noise / cp" large_mlp large_cp
  row "add + push $mib MiB of noise / cp; sync" large_mlp large_durable
  row "add + push $mib MiB of noise / rsync" large_mlp large_rsync
  row "add + push $mib MiB of noise / rclone" large_mlp large_rclone
  row "pull it / cp" pull_mlp large_cp
  row "pull it / cp; sync" pull_mlp large_durable
  new_project p && mkdir p/data && mv big p/data/big # once more, out of the clock's sight
  tracked p add >/dev/null
  tracked p push >/dev/null
  rm -rf p/data p/.mlp
  tracked p pull >/dev/null
  tracked p verify >/dev/null
  tracked p gc >/dev/null
  peaks "$mib MiB of noise"
  rm -rf p
}

edits() {
  new_project p && mkdir p/data
  head -c $((edit_mib << 20)) /dev/urandom >p/data/big
  "$MLP" -C p data add >/dev/null
  "$MLP" -C p data push >/dev/null
  local before after
  for edit in overwrite insert delete; do
    python3 - "$edit" $((edit_mib << 20)) <<'P'
import os, sys
kind, size = sys.argv[1], int(sys.argv[2])
at, mb = size // {"overwrite": 2, "insert": 3, "delete": 5}[kind] + 12345, 1000000
if kind == "overwrite":
    with open("p/data/big", "r+b") as f:
        f.seek(at)
        f.write(os.urandom(mb))
else:
    with open("p/data/big", "rb") as f, open("p/new", "wb") as g:
        left = at
        while left:
            block = f.read(min(left, 1 << 24))
            g.write(block)
            left -= len(block)
        if kind == "insert":
            g.write(os.urandom(mb))
        else:
            f.seek(mb, 1)
        while block := f.read(1 << 24):
            g.write(block)
    os.replace("p/new", "p/data/big")
P
    before=$(size_of p/store)
    tracked p add >/dev/null
    tracked p push >/dev/null
    after=$(size_of p/store)
    echo "1 MB $edit in $edit_mib MiB: $((after - before)) bytes sent"
  done
  tracked p gc >/dev/null
  peaks "1 MB edits in $edit_mib MiB"
  rm -rf p
}

many() {
  local n
  for n in $(printf "%s\n" 10000 100000 "$many" | sort -nu); do
    [ "$n" -le "$many" ] || continue
    new_project p
    python3 - "$n" <<'P'
import os, sys
for i in range(int(sys.argv[1])):
    if i % 1000 == 0:
        os.makedirs(f"p/data/{i // 1000}", exist_ok=True)
    with open(f"p/data/{i // 1000}/{i}", "wb") as f:
        f.write(b"%d\n" % i)
P
    sleep 1
    take "first_$n" "$MLP" -C p data add
    take "push_$n" "$MLP" -C p data push
    for _ in $(seq "$rounds"); do
      take "add_again_$n" "$MLP" -C p data add
      take "push_again_$n" "$MLP" -C p data push
      take "status_$n" "$MLP" -C p data status
      take "gc_$n" "$MLP" -C p data gc
    done
    printf '%8d files: add %.2f s, push %.2f s; again, nothing changed: add %.3f s, push %.3f s, status %.3f s, gc %.3f s\n' \
      "$n" "$(best_of "first_$n")" "$(best_of "push_$n")" "$(best_of "add_again_$n")" "$(best_of "push_again_$n")" \
      "$(best_of "status_$n")" "$(best_of "gc_$n")"
    rm -rf p/.mlp p/store p/mlp.lock # once more, out of the clock's sight
    for verb in add push status gc verify; do tracked p $verb >/dev/null; done
    rm -rf p/data p/.mlp
    tracked p pull >/dev/null
    peaks "$n files"
  done
  rm -rf p
}

# Two versions of real data one after the other: what the second costs.
dedup() {
  local source=${DEDUP:-}
  if [ -z "$source" ]; then
    has apt-get || return 0
    mkdir -p one two
    # Packages of which the archive has two versions: the release's own, and a later one.
    for package in python3.11 python3.11-minimal libpython3.11 libpython3.11-minimal \
      libpython3.11-stdlib libpython3.11-dev openssl libssl3 libssl-dev firefox-esr; do
      versions=$(apt-cache madison "$package" | awk -F'|' '{ gsub(/ /, "", $2); print $2 }' |
        sort -uV | sed -n '1p;$p')
      [ "$(wc -l <<<"$versions")" = 2 ] || continue
      for folder in one two; do
        mkdir -p "debs.$folder"
        version=$(sed -n "$([ $folder = one ] && echo 1 || echo 2)p" <<<"$versions")
        (cd "debs.$folder" && silently apt-get download -q "$package=$version") || {
          echo "dedup: no packages to be had"
          return 0
        }
      done
      echo "dedup: $package" $versions
    done
    for folder in one two; do
      for deb in "debs.$folder"/*.deb; do [ ! -e "$deb" ] || dpkg -x "$deb" "$folder"; done
    done
  fi
  two_versions dedup
}

# Fashion-MNIST as it was published, and as it is used then: a part of the training set split off for
# validation, and one label in a hundred put right. Unpacked, as content can only be shared there.
mnist() {
  [ -d "$mnist_folder" ] || {
    echo "mnist: no '$mnist_folder' (Debian package dataset-fashion-mnist)"
    return 0
  }
  rm -rf one two
  python3 - "$mnist_folder" <<'P'
import gzip, os, random, struct, sys
random.seed(1)
read = lambda name: gzip.open(os.path.join(sys.argv[1], name + ".gz")).read()
def write(folder, name, shape, content):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(struct.pack(">HBB", 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape) + content)
for part, count in (("train", 60000), ("t10k", 10000)):
    images = read(part + "-images-idx3-ubyte")[16:]
    labels = bytearray(read(part + "-labels-idx1-ubyte")[8:])
    write("one", part + "-images", (count, 28, 28), images)
    write("one", part + "-labels", (count,), labels)
    for at in random.sample(range(count), count // 100):
        labels[at] = (labels[at] + 1) % 10
    cut = 50000 if part == "train" else count
    for name, low, high in ((part, 0, cut), ("validation", cut, count)):
        if low < high:
            write("two", name + "-images", (high - low, 28, 28), images[low * 784:high * 784])
            write("two", name + "-labels", (high - low,), labels[low:high])
P
  two_versions mnist
}

# two_versions WHAT: the folders `one` and `two`, one after the other, in each tool's store.
two_versions() {
  local first
  echo "$1: $(size_of one) and $(size_of two) bytes"
  new_project p
  cp -r one p/data && "$MLP" -C p data add >/dev/null
  first=$(size_of p/.mlp/objects)
  rm -rf p/data && cp -r two p/data && "$MLP" -C p data add >/dev/null
  echo "$1: mlp $first bytes, with the second $(size_of p/.mlp/objects)"
  if has restic; then
    rm -rf restic && restic init -q -r restic >/dev/null
    restic -q -r restic backup one >/dev/null
    first=$(size_of restic)
    restic -q -r restic backup two >/dev/null
    echo "$1: restic $first bytes, with the second $(size_of restic)"
  fi
  if has borg; then
    rm -rf borg && borg init -e none borg
    borg create -C zstd,1 borg::one one
    first=$(size_of borg)
    borg create -C zstd,1 borg::two two
    echo "$1: borg (zstd,1) $first bytes, with the second $(size_of borg)"
  fi
}

for section in $sections; do "$section"; done
