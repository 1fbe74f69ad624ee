# A team's work over ssh: push, pull elsewhere, verify, small edits, two pushes at once, kill -9 and on
# again, a path that shells would read otherwise, a home; importing a file; and what the errors say.
source "$(dirname "$0")/../functional/lib.sh"
source "$(dirname "$0")/ssh_lib.sh"
source "$(dirname "$0")/team_lib.sh"
mkdir srv
srv=$PWD/srv
url="ssh://localhost$srv/team"

ada_pushes "$url"
# It is the folder that a file: remote has.
mlp remote add folder "file:$srv/team" >/dev/null
expect_exit 0 mlp data push --remote folder
contains "$out" "nothing to send"
mlp remote rm folder >/dev/null

grace_joins
expect_exit 0 mlp data fetch
grace_pulls
mounted "$(cat "$SSHD/pid")"
nobody_connects() { [ -z "$(connecting)" ]; }
wait_until 10 nobody_connects
[ -z "$(connecting)" ] || fail "an ssh of ours is left"

both_push
grace_collects
cd ../ada
killed_pushes 0.5 0.6 0.8
# Neither ssh nor the other end has outlived them, nor what they wrote.
nothing_left() { [ -z "$(connecting)$(serving)" ]; }
wait_until 10 nothing_left
equals "$(find "$srv/team/.tmp" -type f | wc -l)" 0
push_goes_on

# A path with all that a shell might take for its own, and one below the home.
odd="ssh://localhost$srv/it%27s%20%24%28touch%20x%29%20%22a%22%3B%21%5C%26%2A"
mlp remote add odd "$odd" >/dev/null
expect_exit 0 mlp data push --remote odd
[ -d "$srv/it's \$(touch x) \"a\";!\\&*/packs" ] || fail "not there: $(ls "$srv")"
mlp remote add home "ssh://localhost/~/mlp-test.$$/none" >/dev/null
expect_exit 7 mlp data push --remote home
contains "$err" "there is no folder '/"
contains "$err" "/mlp-test.$$'"

# A key that serves one folder and nothing else, as the manual says.
cp "$SSHD/authorized_keys" "$TEST_DIR/keys"
sed -i "s#^#restrict,command=\"$MLP storage-serve $srv/only\" #" "$SSHD/authorized_keys"
expect_exit 0 mlp data push
contains "$out" "sent to origin"
[ -d "$srv/only/packs" ] || fail "the key's own folder was not served"
cp "$TEST_DIR/keys" "$SSHD/authorized_keys"

# One file, whole and checked; an interrupted copy goes on, unless the file is another one by then.
cd ..
mkdir linus
cd linus
printf 'name: t\n' >mlp.yaml
head -c 40000000 /dev/urandom >"$srv/a b.bin"
sum=$(sha256sum <"$srv/a b.bin" | cut -d' ' -f1)
file="ssh://localhost$srv/a%20b.bin"
expect_exit 0 mlp data import raw "$file" raw.bin --sha256 "$sum" --json
cmp "$srv/a b.bin" raw.bin
equals "$(jq -r '.resumed_at' <<<"$out")" 0
expect_exit 8 mlp data import other "ssh://localhost$srv/team/listing.txt" --sha256 "$sum"
[ ! -e data/listing.txt ] || fail "a file with the wrong digest was kept"
expect_exit 4 mlp data import none "ssh://localhost$srv/none.csv"
contains "$err" "none.csv"
expect_exit 1 mlp data import folder "ssh://localhost$srv/team" folder
for try in 1 2; do
  rm -f raw.bin raw.bin.part*
  "$MLP" data import raw "$file" raw.bin >/dev/null 2>&1 &
  victim=$!
  some_arrived() { [ "$(stat -c %s raw.bin.part 2>/dev/null || echo 0)" -gt 4000000 ]; }
  wait_until 20 some_arrived
  kill -9 "$victim" 2>/dev/null || true
  wait "$victim" 2>/dev/null || true
  [ -e raw.bin.part ] || continue # it was quicker
  [ "$try" = 1 ] || {
    head -c 30000000 /dev/urandom >"$srv/a b.bin"
    sum=$(sha256sum <"$srv/a b.bin" | cut -d' ' -f1)
  }
  expect_exit 0 mlp data import raw "$file" raw.bin --sha256 "$sum" --json
  cmp "$srv/a b.bin" raw.bin
  resumed=$(jq -r '.resumed_at' <<<"$out")
  if [ "$try" = 1 ]; then [ "$resumed" -gt 0 ]; else [ "$resumed" = 0 ]; fi || fail "resumed at $resumed"
done

# Errors name the host and the remedy.
cd ../ada
echo later >data/later.txt
mlp data add >/dev/null
MLP_SSH_COMMAND="ssh -F '$SSHD/config' -o UserKnownHostsFile=/dev/null" expect_exit 6 setsid -w "$MLP" data push
contains "$err" "the key of host 'localhost' is not known here"
# On a terminal ssh asks there, and waits for the answer.
sed "s#UserKnownHostsFile .*#UserKnownHostsFile $TEST_DIR/hosts#" "$SSHD/config" >"$TEST_DIR/asks"
cat >"$TEST_DIR/answer.py" <<'PY'
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen, answered = b"", False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    seen += part
    if not answered and b"continue connecting" in seen:
        os.write(terminal, sys.argv[1].encode())
        answered = True
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
PY
export MLP_SSH_COMMAND="ssh -F '$TEST_DIR/asks'"
expect_exit 6 python3 "$TEST_DIR/answer.py" $'no\n' "$MLP" data push
contains "$out" "the key of host 'localhost' is not known here"
expect_exit 130 python3 "$TEST_DIR/answer.py" $'\003' "$MLP" data push
expect_exit 0 python3 "$TEST_DIR/answer.py" $'yes\n' "$MLP" data push --dry-run
export MLP_SSH_COMMAND="ssh -F '$SSHD/config'"
ssh-keygen -q -t ed25519 -N '' -f "$TEST_DIR/other_key"
sed "s#$SSHD/user_key#$TEST_DIR/other_key#" "$SSHD/config" >"$TEST_DIR/other"
MLP_SSH_COMMAND="ssh -F '$TEST_DIR/other'" expect_exit 6 setsid -w "$MLP" data push
contains "$err" "no access to host 'localhost'"
contains "$err" "Permission denied"
sed "s# ssh-ed25519 .*# $(cut -d' ' -f1,2 "$TEST_DIR/other_key.pub")#" "$SSHD/known_hosts" >"$TEST_DIR/changed"
MLP_SSH_COMMAND="ssh -F '$SSHD/config' -o UserKnownHostsFile='$TEST_DIR/changed'" \
  expect_exit 6 setsid -w "$MLP" data push
contains "$err" "is not the one that is known here"
MLP_SSH_REMOTE_PROGRAM=mlp-of-nobody expect_exit 4 mlp data push
contains "$err" "mlp does not start at host 'localhost'"
contains "$err" "mlp must be installed there too"
contains "$err" "ssh.remote_program"
printf '#!/bin/sh\necho Welcome, stranger; exec "%s" "$@"\n' "$MLP" >"$TEST_DIR/noisy"
printf '#!/bin/sh\necho "mlp: error: '"'storage-serve'"' is not an mlp command" >&2; exit 2\n' >"$TEST_DIR/old"
chmod +x "$TEST_DIR/noisy" "$TEST_DIR/old"
MLP_SSH_REMOTE_PROGRAM=$TEST_DIR/noisy expect_exit 1 mlp data push
contains "$err" "sent 'Welcome, stranger' in place of mlp's greeting"
MLP_SSH_REMOTE_PROGRAM=$TEST_DIR/old expect_exit 1 mlp data push
contains "$err" "too old"
MLP_SSH_COMMAND=/none/ssh expect_exit 4 mlp data push
contains "$err" "openssh-client"
MLP_SSH_COMMAND="ssh 'x" expect_exit 3 mlp data push
contains "$err" "a quote is not closed"
mlp remote add closed ssh://127.0.0.1:1/x >/dev/null
MLP_NET_ATTEMPTS=2 expect_exit 7 mlp data push --remote closed
contains "$err" "Connection refused"
for wrong in ssh://-oProxyCommand=x/y ssh://-x@h/y ssh://h ssh://h/~bob/x 'ssh://h/x?y=z' ssh://ada:hunter2@h/x; do
  expect_exit 3 mlp remote add wrong "$wrong"
  lacks "$err" hunter2
done
ssh_end
