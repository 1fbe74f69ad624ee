#!/usr/bin/env bash
# Secrets: set, listed, removed, given to a run, and found nowhere that they do not belong.
source "$(dirname "$0")/lib.sh"

value='s3cr3t-VALUE-of-the-test'
longer="$value-and-more"
state=$XDG_STATE_HOME/mlp
# nowhere FILE...: none of the values is in any of them.
nowhere() {
  if grep -rlaF -e "$value" "$@" 2>/dev/null; then fail "the value is in these"; fi
}

# Set from a pipe: one newline at the end is dropped. Names and values are checked.
printf '%s\n' "$value" | expect_exit 0 mlp secret set TOKEN
printf '%s' "$longer" | expect_exit 0 mlp secret set LONGER
expect_exit 2 mlp secret set 1BAD <<<x
expect_exit 2 mlp secret set MLP_RUN_ID <<<x
expect_exit 2 mlp secret set ../x <<<x
expect_exit 2 mlp secret set TOKEN "$value" </dev/null
expect_exit 2 mlp secret set EMPTY </dev/null
head -c 65537 /dev/zero >big
expect_exit 2 mlp secret set BIG <big
head -c 65536 /dev/zero | expect_exit 0 mlp secret set BIG
expect_exit 0 mlp secret ls --json
equals "$(jq -r '.secrets[].name' <<<"$out" | tr '\n' ' ')" "BIG LONGER TOKEN "
expect_exit 4 mlp secret rm BIG TOKNE
contains "$err" "did you mean 'TOKEN'?"
expect_exit 0 mlp secret rm BIG
expect_exit 0 mlp secret ls
contains "$out" "LONGER"
lacks "$out" "BIG"
contains "$(mlp __complete secret rm '')" "TOKEN"
contains "$(mlp __complete run --secret '')" "TOKEN"

# At rest: sealed, and for this user alone.
nowhere "$HOME"
equals "$(stat -c %a "$state/secrets" "$state/secrets/TOKEN" "$state/secrets.key" | tr '\n' ' ')" "700 600 600 "

# A prompt on a terminal shows nothing.
python3 - "$MLP" <<'P' >typed
import os, pty, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "secret", "set", "TYPED"])
seen = b""
while b"shown): " not in seen:
    seen += os.read(fd, 4096)
os.write(fd, b"typed-by-hand\n")
try:
    while True:
        data = os.read(fd, 4096)
        if not data:
            break
        seen += data
except OSError:
    pass
os.waitpid(pid, 0)
sys.stdout.write(seen.decode())
P
contains "$(cat typed)" "secret TYPED is set"
lacks "$(cat typed)" "typed-by-hand"

mkdir p && cd p
echo 'name: p' >mlp.yaml

# A run gets it; logs do not, even where it is written in pieces, twice over, or across lines.
expect_exit 0 mlp run --secret TOKEN --secret LONGER -- python3 -uc '
import hashlib, os, sys, time
t = os.environ["TOKEN"]; l = os.environ["LONGER"]
print("sha", hashlib.sha256(t.encode()).hexdigest())
for c in "<" + t + ">\n":
    sys.stdout.write(c); sys.stdout.flush(); time.sleep(0.002)
print("[" + l + "]" + t + t + "|" + t[:-1] + "|")
os.write(2, ("err " + t[:5]).encode()); time.sleep(0.05); os.write(2, t[5:].encode())
open(os.environ["MLP_METRICS"], "a").write("{\"loss\": 1, \"%s\": \"x%sy\"}\nno json %s\n" % (t, t, l))'
log=$(mlp runs logs latest)
contains "$log" "sha $(printf %s "$value" | sha256sum | cut -d' ' -f1)"
contains "$log" "<***>"
contains "$log" "[***]***|${value%?}|"
run=.mlp/runs/$(mlp runs show latest --json | jq -r .run)
equals "$(cat "$run/stderr.log")" "err ***"
contains "$(cat "$run/metrics.jsonl")" '"***":"x***y"'
contains "$(cat "$run/events.jsonl")" "no json ***"
contains "$(jq -c .environment "$run/spec.json")" '"TOKEN"'
nowhere .

# A binary value that spans lines, as a file in memory that goes with the run.
printf 'line one\nline\0two\xff\n' | expect_exit 0 mlp secret set BLOB
expect_exit 3 mlp run --secret BLOB true
contains "$err" "file: true"
expect_exit 0 mlp run --secret-file BLOB sh -c 'stat -c "%a %n" "$BLOB"; sha256sum <"$BLOB"; cat "$BLOB"; echo "$BLOB" >"$MLP_OUT_DIR/path"'
log=$(mlp runs logs latest)
contains "$log" "600 /"
contains "$log" "$(printf 'line one\nline\0two\xff' | sha256sum | cut -d' ' -f1)"
contains "$log" '***'
lacks "$log" "line one"
path=$(cat .mlp/runs/"$(mlp runs show latest --json | jq -r .run)"/outs/path)
[ ! -e "$path" ] && [ ! -e "$(dirname "$path")" ] || fail "$path is still there"

# From mlp.yaml, and not in what other processes can see of the supervisor, nor in any command line.
cat >mlp.yaml <<'Y'
name: p
tasks:
  show:
    secrets: [TOKEN, {name: LONGER, file: true}]
    run: 'echo "$TOKEN"; cat "$LONGER"; sleep 30'
Y
id=$(mlp train show -d)
wait_until 20 grep -q '\*\*\*' ".mlp/runs/$id/stdout.log"
supervisor=$(pgrep -f "__supervise .*$id")
program=$(pgrep -P "$supervisor")
nowhere "/proc/$supervisor/environ" /proc/[0-9]*/cmdline .mlp
grep -qaF "$value" "/proc/$program/environ" || fail "the program does not have it"
file=$(tr '\0' '\n' <"/proc/$program/environ" | sed -n 's/^LONGER=//p')
equals "$(cat "$file")" "$longer"
# A supervisor that was killed leaves the file; the next run removes it once nobody holds it.
kill -9 "$supervisor"
wait_until 10 sh -c "! kill -0 $program"
touch -d '1 hour ago' "$(dirname "$file")"
expect_exit 0 mlp run --secret-file TOKEN true
[ ! -e "$file" ] || fail "$file is still there"
nowhere .

# What is wrong in mlp.yaml, or is not there, is said before a run begins.
before=$(ls .mlp/runs)
sed -i 's/secrets: .*/secrets: [TOKNE]/' mlp.yaml
expect_exit 4 mlp train show
contains "$err" "did you mean 'TOKEN'?"
expect_exit 4 mlp train show --dry-run
sed -i 's/secrets: .*/secrets: [not-a-name]/' mlp.yaml
expect_exit 3 mlp train show
sed -i 's/secrets: .*/secrets: [TOKEN, {name: TOKEN}]/' mlp.yaml
expect_exit 3 mlp train show
contains "$err" "twice"
equals "$(ls .mlp/runs)" "$before"
echo 'name: p' >mlp.yaml

# Damage and swaps are seen, and say what to do.
cp "$state/secrets/TOKEN" "$TEST_DIR/token"
cp "$state/secrets/LONGER" "$state/secrets/TOKEN"
expect_exit 8 mlp run --secret TOKEN true
contains "$err" "mlp secret set TOKEN"
head -c 50 "$TEST_DIR/token" >"$state/secrets/TOKEN"
expect_exit 8 mlp run --secret TOKEN true
cp "$TEST_DIR/token" "$state/secrets/TOKEN"
expect_exit 0 mlp run --secret TOKEN true

# The key: readable by others, another one, gone, from a command.
chmod 640 "$state/secrets.key"
expect_exit 6 mlp run --secret TOKEN true
contains "$err" "chmod 600"
chmod 600 "$state/secrets.key"
mv "$state/secrets.key" "$TEST_DIR/key"
expect_exit 8 mlp run --secret TOKEN true
contains "$err" "is gone"
expect_exit 8 mlp secret set OTHER <<<x
export MLP_SECRETS_KEY_COMMAND="cat '$TEST_DIR/key'"
expect_exit 0 mlp run --secret TOKEN sh -c 'echo "$TOKEN"'
equals "$(mlp runs logs latest)" "***"
MLP_SECRETS_KEY_COMMAND="printf %064d 1" expect_exit 8 mlp run --secret TOKEN true
contains "$err" "another key"
MLP_SECRETS_KEY_COMMAND="echo short" expect_exit 3 mlp run --secret TOKEN true
MLP_SECRETS_KEY_COMMAND="false" expect_exit 1 mlp run --secret TOKEN true
MLP_SECRETS_KEY_COMMAND="no-such-program" expect_exit 4 mlp run --secret TOKEN true
MLP_SECRETS_KEY_COMMAND="'open" expect_exit 3 mlp run --secret TOKEN true
nowhere .
