#!/usr/bin/env bash
# `mlp run`, `runs attach` and `runs wait`: any program, detached, followed again, waited for.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
printf 'name: p\ndatasets: {d: {path: x.csv}}\n' >mlp.yaml
echo a,b >x.csv

# Words reach the program as they are, its options too.
expect_exit 0 mlp run printf '%s|' "two  words" '$HOME' "it's" '*' --json -p --help -- '$(id)'
equals "$(mlp runs logs latest)" "two  words|\$HOME|it's|*|--json|-p|--help|--|\$(id)|"
expect_exit 0 mlp run -p lr=0.1 -p 'text=a b' --data d --out made -- sh -c \
  'echo "$0 $1"; cat "$MLP_DATA_D" "$MLP_PARAMS"; echo "{\"loss\": 0.5}" >>"$MLP_METRICS"; touch "$MLP_OUT_DIR/made"' \
  '${params.lr}' '${params.text}'
contains "$out" "loss  0.5"
contains "$(mlp runs logs latest)" "0.1 a b"
contains "$(mlp runs logs latest)" "a,b"
contains "$(mlp runs show latest --json)" '"task": "sh"'
expect_exit 10 mlp run --out made true
contains "$err" "did not write 'made'"
expect_exit 10 mlp run no-such-program --at-all
contains "$err" "no-such-program"
expect_exit 4 mlp run --data none true
expect_exit 2 mlp run
expect_exit 2 mlp run --restarts many true
expect_exit 0 mlp run --dry-run ls -l
contains "$out" "exec ls -l"
expect_exit 10 mlp run --max-duration 1s sleep 60
contains "$err" "max_duration"
expect_exit 0 mlp run --restarts 2 -- sh -c 'echo x >>"$MLP_CHECKPOINT_DIR/n"; [ "$(wc -l <"$MLP_CHECKPOINT_DIR/n")" = 3 ]'
# A script reports metrics and keeps files by commands.
mkdir folder && echo kept >folder/file
expect_exit 0 mlp run -- sh -c '"$0" log metric loss=0.5 --step 1 && "$0" log metric loss=0.25 acc=1e-1 --step 2 &&
  "$0" log artifact x.csv folder/ && "$0" log artifact folder' "$MLP"
contains "$out" "loss  0.25"
contains "$out" "acc   0.1"
run=$(mlp runs show latest --json | sed -n 's/.*"run": "\(.*\)",*$/\1/p' | head -1)
equals "$(cat ".mlp/runs/$run/outs/folder/file" ".mlp/runs/$run/outs/x.csv")" "kept
a,b"
expect_exit 0 mlp run -p lr=0.1 -- sh -c '"$0" log param lr=0.01 opt=adam && "$0" log tag stage=dev stage=prod keep' "$MLP"
expect_exit 0 mlp runs ls --where "params.lr < 0.05 and params.opt = 'adam'" --json
contains "$out" '"stage=prod"'
lacks "$out" '"stage=dev"'
expect_exit 10 mlp run -- "$MLP" log param lr
expect_exit 10 mlp run -- "$MLP" log tag a,b
expect_exit 2 mlp log param lr=1
expect_exit 10 mlp run -- "$MLP" log metric loss=much
expect_exit 10 mlp run -- "$MLP" log metric step=1
expect_exit 10 mlp run -- "$MLP" log artifact no-such-file
expect_exit 2 mlp log metric loss=1
contains "$err" "this is no run"
expect_exit 2 mlp log artifact x.csv
# It is resumed like any other.
expect_exit 10 mlp run -- sh -c '[ -e "$MLP_CHECKPOINT_DIR/seen" ] || { touch "$MLP_CHECKPOINT_DIR/seen"; exit 1; }'
expect_exit 0 mlp train --resume latest

# Of runs made in one second, the latest is the one that was made last.
made=
for _ in 1 2 3 4 5 6; do
  last=$(mlp run -d true)
  made="$last $made"
done
equals "$(mlp runs ls -n 6 --json | jq -r '.runs[].run' | tr '\n' ' ')" "$made"
equals "$(mlp runs show latest --json | sed -n 's/.*"run": "\(.*\)",*$/\1/p' | head -1)" "$last"

# Detached, waited for, attached to.
run=$(mlp run -d sh -c 'echo begun; sleep 1; echo done')
expect_exit 5 mlp runs wait --timeout 100ms "$run"
contains "$err" "still"
expect_exit 0 mlp runs wait "$run"
equals "$out" "$run succeeded"
bad=$(mlp run -d sh -c 'echo words >&2; exit 3')
expect_exit 10 mlp runs wait "$run" "$bad"
contains "$err" "exit code 3"
contains "$err" "words"
run=$(mlp run -d sh -c 'for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.2; done')
expect_exit 0 mlp runs attach "$run"
contains "$err" "line 8"

# An interrupt where nobody can be asked detaches what was attached, and cancels what was started.
run=$(mlp run -d sleep 60)
timeout -s INT --foreground 1 "$MLP" runs attach "$run" >"$TEST_DIR/attached" 2>&1 </dev/null || true
contains "$(cat "$TEST_DIR/attached")" "goes on"
contains "$(mlp runs show "$run" --json)" '"state": "running"'
mlp runs cancel "$run" >/dev/null
timeout -s INT --foreground 1 "$MLP" run sleep 60 >"$TEST_DIR/started" 2>&1 </dev/null || true
contains "$(cat "$TEST_DIR/started")" "was cancelled"

# On a terminal the user is asked.
ask() { # ANSWER: what `mlp run` says when it is interrupted and answered so
  python3 - "$MLP" "$1" <<'P'
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "run", "sh", "-c", "echo begun; sleep 3"])
seen, sent, end = b"", 0, time.time() + 30
while time.time() < end:
    if select.select([fd], [], [], 0.2)[0]:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        seen += data
    if sent == 0 and b"begun" in seen:
        os.write(fd, b"\x03")
        sent = 1
    if sent == 1 and b"etach" in seen:
        os.write(fd, sys.argv[2].encode() + b"\n")
        sent = 2
os.waitpid(pid, 0)
sys.stdout.write(seen.decode(errors="replace"))
P
}
contains "$(ask d)" "goes on"
contains "$(mlp runs show latest --json)" '"state": "running"'
contains "$(ask c)" "was cancelled"
contains "$(ask '')" "succeeded"
