#!/usr/bin/env bash
# kill -9 at random moments of add, push, pull, checkout and gc: `verify` is clean after each, and
# nothing that was acknowledged is gone. KILLS says how many (300 takes some minutes), SEED which.
source "$(dirname "$0")/lib.sh"

RANDOM=${SEED:-$$}
printf 'name: t\ndatasets:\n  set: {path: data}\nremotes:\n  origin: "file:../store?link=%s"\n' \
  "$([ $((RANDOM % 2)) = 0 ] && echo yes || echo no)" >project.yaml
mkdir -p a/data b
cp project.yaml a/mlp.yaml
cp project.yaml b/mlp.yaml

# Some files new, some changed, some gone.
edit() {
  for _ in 1 2 3; do
    head -c $((RANDOM * 40)) /dev/urandom >"a/data/$((RANDOM % 20))"
    rm -f "a/data/$((RANDOM % 20))"
  done
  head -c 3000 /dev/urandom >a/data/always
}
pin() { sed -n 's/.*digest: //p' "$1/mlp.lock"; }

edit
mlp -C a data add >/dev/null
mlp -C a data push >/dev/null
cp a/mlp.lock b
mlp -C b data pull >/dev/null
pushed=$(pin a)

# victim FOLDER COMMAND...: killed within a time like its own; true if it had ended well before.
victim() {
  local folder=$1 pid code=0
  shift
  "$MLP" -C "$folder" data "$@" >"$TEST_DIR/victim" 2>&1 &
  pid=$!
  sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
  kill -9 $pid 2>/dev/null || true
  wait $pid 2>/dev/null || code=$?
  case $code in
    0) return 0 ;;
    137) return 1 ;;
    *) fail "mlp data $* ended with $code: $(cat "$TEST_DIR/victim")" ;;
  esac
}
same_files() { diff -r a/data b/data >/dev/null || fail "$1: the files differ"; }

for _ in $(seq "${KILLS:-20}"); do
  before=$(pin a)
  case $((RANDOM % 5)) in
    0)
      edit
      victim a add || true
      after=$(pin a)
      # The pin is the version from before, or a whole new one.
      [ "$after" = "$before" ] || expect_exit 0 mlp -C a data status
      mlp -C a data add >/dev/null
      ;;
    1)
      edit
      mlp -C a data add >/dev/null
      if victim a push; then pushed=$(pin a); fi
      mlp -C b data fetch "set@$pushed" >/dev/null || fail "what had been pushed has gone"
      mlp -C a data push >/dev/null
      pushed=$(pin a)
      expect_exit 0 mlp -C a data verify --remote origin
      ;;
    2)
      mlp -C a data push >/dev/null
      pushed=$(pin a)
      cp a/mlp.lock b
      rm -rf b/data
      [ $((RANDOM % 2)) = 0 ] && rm -rf b/.mlp
      victim b pull || true
      expect_exit 0 mlp -C b data pull
      same_files pull
      expect_exit 0 mlp -C b data verify
      ;;
    3)
      mlp -C a data push >/dev/null
      pushed=$(pin a)
      cp a/mlp.lock b
      mlp -C b data fetch >/dev/null
      victim b checkout "set@$pushed" --force || true
      expect_exit 0 mlp -C b data checkout "set@$pushed" --force
      same_files checkout
      ;;
    4)
      victim a gc || true
      victim b gc || true
      expect_exit 0 mlp -C b data verify
      ;;
  esac
  expect_exit 0 mlp -C a data verify
  expect_exit 0 mlp -C a data status
  contains "$out" "unchanged"
done

# What was pushed is all there, for somebody who comes new.
mlp -C a data push >/dev/null
mkdir c
cp project.yaml c/mlp.yaml
expect_exit 0 mlp -C c data pull
diff -r a/data c/data || fail "what was pulled differs"
mlp -C c data ls "set@$pushed" >/dev/null || mlp -C c data fetch "set@$pushed" >/dev/null ||
  fail "an acknowledged version has gone"
