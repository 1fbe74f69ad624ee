#!/usr/bin/env bash
# Runs between projects: copied out, taken in once, and nothing hostile taken with them.
source "$(dirname "$0")/lib.sh"

mkdir p q && cd p
cat >mlp.yaml <<'YAML'
name: p
tasks:
  train:
    params: {lr: 0.1}
    run: |
      echo '{"step": 1, "acc": 0.5}' >> "$MLP_METRICS"
      mkdir "$MLP_OUT_DIR/a" && head -c 3000000 /dev/urandom >"$MLP_OUT_DIR/a/weights"
      ln -s a/weights "$MLP_OUT_DIR/latest"
      printf '#!/bin/sh\n' >"$MLP_OUT_DIR/tool" && chmod 755 "$MLP_OUT_DIR/tool"
      echo hello
  slow: {run: sleep 60}
YAML
cp mlp.yaml ../q/
mlp train -q >/dev/null
id=$(mlp runs ls --json | jq -r '.runs[0].run')

# There and back: the same run, also for a second time, and with events of its own since.
expect_exit 0 mlp runs export latest ../stick
contains "$out" "exported ../stick/$id"
expect_exit 0 mlp runs export latest ../stick
contains "$out" "is there already"
cd ../q
expect_exit 0 mlp runs import ../stick
contains "$out" "imported $id"
diff -r --no-dereference ../stick/"$id" .mlp/runs/"$id" || fail "the copy differs"
diff -r --no-dereference -x supervisor.lock -x progress.json ../p/.mlp/runs/"$id" .mlp/runs/"$id" || fail "differs from the first"
[ -x ".mlp/runs/$id/outs/tool" ] || fail "no longer executable"
equals "$(mlp runs show "$id" --json | jq -c '[.state, .metrics.acc, .params.lr]')" '["succeeded",0.5,0.1]'
equals "$(mlp runs logs "$id")" hello
expect_exit 0 mlp runs import "../stick/$id" --json
equals "$(jq -c '[.runs[0].run, .runs[0].copied]' <<<"$out")" "[\"$id\",false]"
mlp runs tag "$id" mine >/dev/null
expect_exit 0 mlp runs import ../p/.mlp/runs/"$id"
contains "$out" "is there already"
equals "$(mlp runs ls --json | jq -c '.runs[].tags')" '["mine"]'

# The same id with other content: a conflict, and nothing changes.
printf x | dd of="../stick/$id/outs/a/weights" conv=notrunc status=none
sum=$(cat .mlp/runs/"$id"/outs/a/weights | sha256sum)
expect_exit 5 mlp runs import ../stick
contains "$err" "other content"
equals "$(cat .mlp/runs/"$id"/outs/a/weights | sha256sum)" "$sum"
(cd ../p && expect_exit 5 mlp runs export "$id" ../stick)

# Hostile folders: refused, and nothing stays behind.
mlp runs rm "$id" >/dev/null
hostile() { rm -rf ../bad && cp -r "../p/.mlp/runs/$id" ../bad; }
refused() {
  expect_exit "$1" mlp runs import ../bad
  contains "$err" "$2"
  equals "$(find .mlp/runs -mindepth 1 | head -1)" ""
}
hostile && ln -s /etc/passwd ../bad/outs/x && refused 8 "may lead out"
hostile && ln -s ../../../../../../secret ../bad/outs/x && refused 8 "may lead out"
hostile && ln -s outs ../bad/more && refused 8 "may lead out"
hostile && rm ../bad/events.jsonl && ln -s "$HOME/.bashrc" ../bad/events.jsonl && refused 8 "may lead out"
hostile && mkfifo ../bad/outs/pipe && refused 8 "neither a file nor a folder"
hostile && rm ../bad/spec.json && mkfifo ../bad/spec.json && refused 8 "not a regular file"
hostile && rm ../bad/spec.json && ln -s /etc/passwd ../bad/spec.json && refused 1 "spec.json"
hostile && echo '{' >../bad/spec.json && refused 3 "spec.json"
hostile && echo '{"id": "../../../evil"}' >../bad/spec.json && refused 3 "is not the id of a run"
hostile && echo garbage >../bad/events.jsonl && refused 8 "no state that can be read"
hostile && deep=../bad/outs && for _ in $(seq 70); do deep=$deep/d && mkdir "$deep"; done && refused 8 "deeper than"
expect_exit 4 mlp runs import ../p
expect_exit 4 mlp runs import ../nothing

# Damage that can be lived with is said; setuid bits do not come along.
hostile && printf 'garbage\n{"torn' >>../bad/metrics.jsonl && chmod 4755 ../bad/outs/tool
expect_exit 0 mlp runs import ../bad
contains "$err" "1 damaged line"
equals "$(stat -c %a ".mlp/runs/$id/outs/tool")" 755

# A run that goes on is not copied out; one that was copied nevertheless counts as lost.
cd ../p
run=$(mlp train -q -d slow)
wait_until 10 sh -c "'$MLP' runs show '$run' --json | grep -q '\"running\"'"
expect_exit 5 mlp runs export "$run" ../stick
contains "$err" "has not ended"
cp -r ".mlp/runs/$run" ../going
mlp runs cancel --now "$run" >/dev/null
cd ../q
expect_exit 0 mlp runs import ../going
contains "$err" "it counts as lost"
contains "$(mlp runs show "$run")" "lost: it was"
expect_exit 0 mlp runs import ../going
contains "$out" "is there already"

# On a disk that is full nothing of it stays.
(
  small_disk 2m
  cp mlp.yaml "$TEST_DIR/disk/" && cd "$TEST_DIR/disk"
  expect_exit 1 mlp runs import "$TEST_DIR/work/bad"
  contains "$err" "No space left"
  equals "$(find .mlp/runs -mindepth 1 | head -1)" ""
) || [ $? = 77 ]

# Archives: any tar program reads them, and what any tar program wrote is taken in.
cd ../p
expect_exit 0 mlp runs export "$id" --out ../run.tar
contains "$out" "exported ../run.tar"
expect_exit 0 mlp runs export "$id" -o ../run.tar.zst
mlp runs export "$id" --out - >../piped.tar
cmp ../run.tar ../piped.tar || fail "the same run, another archive"
mkdir ../there && tar -C ../there -xf ../run.tar || fail "tar cannot read it"
diff -r --no-dereference -x supervisor.lock -x progress.json ".mlp/runs/$id" "../there/$id" || fail "tar reads something else"
[ -x "../there/$id/outs/tool" ] || fail "no longer executable"
if command -v zstd >/dev/null; then
  zstd -dcq ../run.tar.zst | cmp - ../run.tar || fail "zstd reads something else"
fi
expect_exit 2 mlp runs export "$id"
expect_exit 2 mlp runs export "$id" ../stick --out a.tar
expect_exit 2 mlp runs export "$id" --out a.zip
contains "$err" ".tar.zst"
expect_exit 2 mlp runs export "$id" --out - --json
cd ../q
rm -rf .mlp/runs
arrives() {
  contains "$out" "imported $id"
  diff -r --no-dereference -x supervisor.lock -x progress.json ../p/.mlp/runs/"$id" .mlp/runs/"$id" || fail "the copy differs"
  mlp runs rm "$id" >/dev/null
  equals "$(find .mlp/tmp -mindepth 1 2>/dev/null)" ""
}
for archive in run.tar run.tar.zst; do
  expect_exit 0 mlp runs import "../$archive"
  arrives
done
expect_exit 0 mlp runs import - <../run.tar.zst
arrives
for format in ustar gnu pax; do
  tar -C ../there --format="$format" -cf ../other.tar . && expect_exit 0 mlp runs import ../other.tar
  arrives
  tar -C "../there/$id" --format="$format" -cf ../other.tar . && expect_exit 0 mlp runs import ../other.tar
  arrives
done

# Hostile archives: refused, and nothing stays behind.
python3 - "$id" <<'P'
import io, sys, tarfile
run = sys.argv[1]
def archive(name, *members):
    with tarfile.open(f"../{name}.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for path, kind, target, content in members:
            member = tarfile.TarInfo(path)
            member.type, member.linkname, member.size = kind, target, len(content)
            tar.addfile(member, io.BytesIO(content))
f, link, hard, device, pipe = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE
archive("escape", ("../../evil", f, "", b"x"))
archive("absolute", ("/tmp/mlp-evil", f, "", b"x"))
archive("long", ("a/" * 300 + "../" * 301 + "evil", f, "", b"x"))
archive("out", (f"{run}/outs/x", link, "/etc/passwd", b""))
archive("up", (f"{run}/outs/x", link, "../../../secret", b""))
archive("through", (f"{run}/outs/x", link, "y", b""), (f"{run}/outs/x/z", f, "", b"x"))
archive("over", (f"{run}/outs/x", link, "y", b""), (f"{run}/outs/x", f, "", b"x"))
archive("twice", (f"{run}/x", f, "", b"x"), (f"{run}/x", f, "", b"y"))
archive("hard", (f"{run}/x", hard, "/etc/passwd", b""))
archive("device", (f"{run}/x", device, "", b""))
archive("pipe", (f"{run}/x", pipe, "", b""))
archive("deep", ("d/" * 100 + "x", f, "", b"x"))
huge = tarfile.TarInfo("x")
huge.size = 1 << 45
open("../huge.tar", "wb").write(huge.tobuf(tarfile.GNU_FORMAT) + b"x" * 5000)
whole = open("../run.tar", "rb").read()
open("../cut.tar", "wb").write(whole[:len(whole) // 2])
open("../flipped.tar", "wb").write(whole[:100] + b"?" + whole[101:])
packed = open("../run.tar.zst", "rb").read()
open("../cut.tar.zst", "wb").write(packed[:len(packed) // 2])
open("../noise.tar.zst", "wb").write(packed[:1000] + b"\0" * 1000 + packed[2000:])
open("../none.tar", "wb").write(b"")
open("../text.tar", "wb").write(b"no archive\n" * 1000)
P
for bad in escape.tar absolute.tar long.tar out.tar up.tar through.tar over.tar twice.tar hard.tar device.tar \
  pipe.tar deep.tar huge.tar cut.tar flipped.tar cut.tar.zst noise.tar.zst none.tar text.tar; do
  expect_exit 8 mlp runs import "../$bad"
  contains "$err" "../$bad"
  equals "$(find .mlp/runs .mlp/tmp -mindepth 1 2>/dev/null | head -1)" ""
  [ ! -e /tmp/mlp-evil ] && [ ! -e ../evil ] && [ ! -e .mlp/evil ] || fail "$bad wrote outside"
done
# A pipe that stays silent is waited for, but not beyond an interrupt.
mkfifo ../silent
sleep 30 >../silent &
expect_exit 130 timeout --preserve-status -s INT --foreground 1 "$MLP" runs import - <../silent
equals "$(find .mlp/tmp -mindepth 1 2>/dev/null)" ""
tar -cf ../empty.tar -T /dev/null
expect_exit 4 mlp runs import ../empty.tar
contains "$err" "no run in '../empty.tar'"
