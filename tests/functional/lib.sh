# Sourced by every functional test: a HOME and a folder of its own, processes cleaned up, and
# checks that say what they saw. $MLP is the binary, $MLP_SOURCE the source tree.
# shellcheck shell=bash
set -euo pipefail

MLP=${MLP:?the binary under test}
MLP_SOURCE=${MLP_SOURCE:?the source tree}
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/mlp-test.XXXXXX")
export HOME=$TEST_DIR/home
export XDG_CONFIG_HOME=$HOME/.config XDG_CACHE_HOME=$HOME/.cache XDG_STATE_HOME=$HOME/.local/state
# No run waits for those of other tests.
export MLP_HOST_QUEUE=$TEST_DIR/queue
# Remotes are to be asked; data_cache.sh is about the cache that would answer in their place.
export MLP_CACHE_LIMIT=${MLP_CACHE_LIMIT:-0}
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@localhost
export GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@localhost LC_ALL=C.UTF-8
unset MLP_JOBS MLP_RUN_ID NO_COLOR
mkdir -p "$HOME" "$TEST_DIR/work"
cd "$TEST_DIR/work"

# Real inputs that lie beside the repository, where they are there; see have_data.
DATA=$MLP_SOURCE/../shared/data

mlp() { "$MLP" "$@"; }

cleanup() {
  local status=$?
  set +e
  # Whatever was started from this folder: supervisors and servers put themselves in a session of
  # their own.
  local pid
  for pid in $(pgrep -f -- "$TEST_DIR" 2>/dev/null); do
    [ "$pid" != $$ ] && kill -9 "$pid" 2>/dev/null
  done
  for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null; done
  mountpoint -q "$TEST_DIR/disk" 2>/dev/null && umount -l "$TEST_DIR/disk"
  chmod -R u+rwX "$TEST_DIR" 2>/dev/null
  rm -rf "$TEST_DIR"
  exit $status
}
trap cleanup EXIT

fail() {
  echo "FAIL: $*" >&2
  exit 1
}

skip() {
  echo "SKIP: $*" >&2
  exit 77
}

# have_data FOLDER: skips the test where that input is not beside the repository.
have_data() {
  [ -d "$DATA/$1" ] || skip "no ../shared/data/$1 beside the repository"
}

# expect_exit CODE COMMAND...: runs it, keeps $out and $err, checks the exit code.
expect_exit() {
  local wanted=$1 code=0
  shift
  "$@" >"$TEST_DIR/out" 2>"$TEST_DIR/err" || code=$?
  out=$(cat "$TEST_DIR/out")
  err=$(cat "$TEST_DIR/err")
  [ "$code" = "$wanted" ] || fail "'$*' exited $code, not $wanted
stdout: $out
stderr: $err"
}

# contains TEXT PART
contains() {
  case "$1" in
    *"$2"*) ;;
    *) fail "expected '$2' in: $1" ;;
  esac
}

lacks() {
  case "$1" in
    *"$2"*) fail "did not expect '$2' in: $1" ;;
    *) ;;
  esac
}

equals() { [ "$1" = "$2" ] || fail "expected '$2', got '$1'"; }

# wait_until SECONDS COMMAND...: polls until it succeeds.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || fail "timed out waiting for: $*"
    sleep 0.05
  done
}

# small_disk SIZE: mounts a tmpfs of that size at $TEST_DIR/disk, or skips.
small_disk() {
  mkdir -p "$TEST_DIR/disk"
  mount -t tmpfs -o "size=$1" tmpfs "$TEST_DIR/disk" 2>/dev/null ||
    skip "cannot mount a tmpfs here: a full disk cannot be tried"
}
