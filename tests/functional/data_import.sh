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
expect_exit 2 mlp data import x "ftp://127.0.0.1/x"
expect_exit 2 mlp data import x "http://ada:hunter2@127.0.0.1/x"
lacks "$err" hunter2
expect_exit 2 mlp data import x "$url/"
expect_exit 2 mlp data import x "$url/noise.bin" --sha256 12
expect_exit 3 mlp data import x "$url/table.csv" .mlp/x
expect_exit 7 mlp data import x http://127.0.0.1:1/x
