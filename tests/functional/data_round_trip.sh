# Add, push, pull elsewhere: the same files, with modes, links and odd names; nothing is done twice.

source "$(dirname "$0")/lib.sh"

mkdir -p ada/data/sub ada/data/'an empty folder' shared
cd ada
printf 'name: t\n' >mlp.yaml
printf 'hello\n' >data/a.txt
printf '#!/bin/sh\n' >data/run.sh
chmod 755 data/run.sh
: >data/empty
ln -s ../a.txt data/sub/link
ln -s /nowhere data/dangling
printf odd >data/sub/$'new\nline'
printf odd >data/sub/$'\377 not utf-8'
head -c 3000000 /dev/urandom >data/sub/noise.bin

mlp data add set data >/dev/null
grep -q 'set:' mlp.yaml || fail "the dataset is not in mlp.yaml"
grep -q 'sha256:' mlp.lock || fail "no version in mlp.lock"
mlp remote add origin "file://$TEST_DIR/work/shared/store" >/dev/null
expect_exit 0 mlp data push
contains "$out" "sent to origin"
expect_exit 0 mlp data push
contains "$out" "nothing to send"
expect_exit 0 mlp data ls
contains "$out" "set"

cd ..
mkdir grace
cp ada/mlp.yaml ada/mlp.lock grace
cd grace
expect_exit 0 mlp data status
contains "$out" "missing"
mlp data pull >/dev/null
diff -r --no-dereference ../ada/data data || fail "pulled files differ"
[ -x data/run.sh ] || fail "the executable bit is lost"
[ ! -x data/a.txt ] || fail "an executable bit out of nothing"
equals "$(readlink data/dangling)" /nowhere
[ -d 'data/an empty folder' ] || fail "the empty folder is lost"
expect_exit 0 mlp data status
contains "$out" "unchanged"

# A version goes back the other way.
echo more >>data/a.txt
sleep 0.3
expect_exit 0 mlp data add --json
contains "$out" '"read_files": 1'
expect_exit 0 mlp data add --json
contains "$out" '"read_files": 0'
mlp data push >/dev/null
cp mlp.lock ../ada
cd ../ada
mlp data pull >/dev/null
equals "$(cat data/a.txt)" "hello
more"

# Local changes are not lost without being asked for.
echo mine >data/a.txt
cp mlp.lock kept.lock
expect_exit 5 mlp data pull
contains "$err" "a.txt"
equals "$(cat data/a.txt)" mine
mlp data pull --force >/dev/null
equals "$(cat data/a.txt)" "hello
more"
expect_exit 4 mlp data push nothing
expect_exit 0 mlp data pull --dry-run
rm -rf ../shared
expect_exit 7 mlp data push
contains "$err" "not reachable"
