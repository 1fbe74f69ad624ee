#!/usr/bin/env bash
# kill -9 at random moments of add, push, pull, checkout, gc and gc of the remote: `verify` is clean
# after each, and nothing that was acknowledged is gone. KILLS says how many are killed at work, SEED
# which. `ctest -C slow -L slow` runs it with 300: some 4 minutes.
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

# victim FOLDER COMMAND...: killed at a moment of the time that such a command takes, or a little after;
# true if it had ended before. Now and then it is left alone, so that this time is known: the first
# of each kind, too.
declare -A took # microseconds
killed=0
victim() {
  local folder=$1 verb="$2 ${3:-}" pid code=0 begin delay
  verb=${verb%%set@*}
  shift
  begin=${EPOCHREALTIME/[.,]/}
  "$MLP" -C "$folder" data "$@" >"$TEST_DIR/victim" 2>&1 &
  pid=$!
  if [ -n "${took[$verb]:-}" ] && [ $((RANDOM % 10)) != 0 ]; then
    # A program takes some 2 ms to start, `sleep` as well as the victim.
    delay=$((took[$verb] * (RANDOM % 110) / 100))
    sleep "$(printf '%d.%06d' $((delay / 1000000)) $((delay % 1000000)))"
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || code=$?
  else
    wait $pid || code=$?
    took[$verb]=$((${EPOCHREALTIME/[.,]/} - begin))
  fi
  case $code in
    0) return 0 ;;
    137)
      killed=$((killed + 1))
      return 1
      ;;
    *) fail "mlp data $* ended with $code: $(cat "$TEST_DIR/victim")" ;;
  esac
}
# What a collection or a push that was killed claims at the remote counts for an hour; this one is older.
age_claims() {
  local claim
  for claim in store/refs/gc store/refs/pushes/*; do
    [ ! -e "$claim" ] || sed -i 's/"time":"[^"]*"/"time":"2020-01-01T00:00:00.000Z"/' "$claim"
  done
}
# Somebody who has nothing gets what was pushed last, whole.
newcomer() {
  rm -rf new
  mkdir new
  cp project.yaml new/mlp.yaml
  mlp -C new data fetch "set@$pushed" >/dev/null || fail "$1: what had been pushed has gone"
  expect_exit 0 mlp -C new data verify
}
same_files() { diff -r a/data b/data >/dev/null || fail "$1: the files differ"; }

rounds=0
while [ "$killed" -lt "${KILLS:-20}" ]; do
  rounds=$((rounds + 1))
  # Not all of the moments may come after the end.
  [ $rounds -le $((${KILLS:-20} * 5 + 20)) ] || fail "only $killed commands of $rounds were killed at work"
  before=$(pin a)
  case $((RANDOM % 6)) in
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
    5)
      age_claims
      victim a gc --remote origin --older-than 0s || true
      newcomer "gc of the remote"
      age_claims
      expect_exit 0 mlp -C a data gc --remote origin --older-than 0s
      newcomer "gc of the remote after one that was killed"
      mlp -C a data push >/dev/null
      pushed=$(pin a)
      expect_exit 0 mlp -C a data verify --remote origin
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
echo "$killed commands killed at work, in $rounds rounds"
