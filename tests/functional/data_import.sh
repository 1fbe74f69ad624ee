# A file from a web server or a folder becomes a dataset, once it is whole and has the right digest.
source "$(dirname "$0")/lib.sh"

mkdir site
head -c 3000000 /dev/urandom >site/noise.bin
printf 'a,b\n1,2\n' >site/table.csv
printf 'name: t\n' >mlp.yaml
python3 -u -m http.server 0 --bind 127.0.0.1 --directory site >"$TEST_DIR/server" 2>&1 &
wait_until 10 grep -q 'port [0-9]' "$TEST_DIR/server"
url=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$TEST_DIR/server")
sum=$(sha256sum <site/noise.bin | cut -d' ' -f1)

expect_exit 0 mlp data import noise "$url/noise.bin" --sha256 "$sum"
cmp site/noise.bin data/noise.bin
contains "$out" "sha256:$sum"
contains "$(cat mlp.yaml)" "data/noise.bin"
contains "$(cat mlp.lock)" "noise:"
expect_exit 0 mlp data status
contains "$out" "unchanged"
expect_exit 5 mlp data import noise "$url/noise.bin"
expect_exit 0 mlp data import noise "$url/noise.bin" --force
expect_exit 8 mlp data import other "$url/table.csv" --sha256 "$sum"
equals "$(ls data)" noise.bin
expect_exit 4 mlp data import other "$url/nothing"
contains "$err" "has no such file"
expect_exit 0 mlp data import table "file:$PWD/site/table.csv" tables/t.csv
cmp site/table.csv tables/t.csv

# From a folder: what an interrupted copy has is gone on from, unless the file is another one by now.
mkdir data/late
mlp data import late "file:$PWD/site/noise.bin" data/late/noise.bin >/dev/null
rm -rf data/late/noise.bin
python3 - "$PWD/site/noise.bin" data/late/noise.bin <<'PY'
import os, sys
source, target = sys.argv[1:]
info = os.stat(source)
times = ":".join("%d.%09d" % divmod(t, 10**9) for t in (info.st_mtime_ns, info.st_ctime_ns))
open(target + ".part", "wb").write(open(source, "rb").read(1000000))
open(target + ".part.etag", "w").write(f"{info.st_dev}:{info.st_ino}:{info.st_size}:{times}")
PY
expect_exit 0 mlp --json data import late "file:$PWD/site/noise.bin" data/late/noise.bin --sha256 "$sum"
equals "$(jq .resumed_at <<<"$out")" 1000000
cmp site/noise.bin data/late/noise.bin
rm data/late/noise.bin
printf 'something else' >data/late/noise.bin.part
printf '1:2:3:4.0:5.0' >data/late/noise.bin.part.etag
expect_exit 0 mlp --json data import late "file:$PWD/site/noise.bin" data/late/noise.bin --sha256 "$sum"
equals "$(jq .resumed_at <<<"$out")" 0
equals "$(ls data/late)" noise.bin
expect_exit 2 mlp data import x "ftp://127.0.0.1/x"
expect_exit 2 mlp data import x "http://ada:hunter2@127.0.0.1/x"
lacks "$err" hunter2
expect_exit 2 mlp data import x "$url/"
expect_exit 2 mlp data import x "$url/noise.bin" --sha256 12
expect_exit 3 mlp data import x "$url/table.csv" .mlp/x
expect_exit 7 mlp data import x http://127.0.0.1:1/x
