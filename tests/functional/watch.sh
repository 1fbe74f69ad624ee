#!/usr/bin/env bash
# `mlp watch` on a terminal, in a pipe, and beside a fake driver library.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
echo 'name: demo' >mlp.yaml
expect_exit 4 mlp watch
contains "$err" "there is no run yet"

# A program whose names and output try to act on the terminal.
cat >prog.sh <<'SH'
i=0
while [ $i -lt "$1" ]; do
  i=$((i + 1))
  printf '{"step": %d, "loss": %d.5, "acc\\u001b[31m": 0.25}\n' $i $((100 / i)) >>"$MLP_METRICS"
  printf '\033[32mstep %d\033[0m \033]0;stolen title\007\033[6n\n' $i
  sleep 0.05
done
echo gone wrong >&2
exit "$2"
SH
ended=$(mlp run -d sh prog.sh 3 1)
expect_exit 10 mlp runs wait "$ended"

# In a pipe: once, at most 80 x 24, without an escape.
expect_exit 0 mlp watch
lacks "$out" $'\e'
lacks "$out" $'\a'
[ "$(wc -l <<<"$out")" -le 24 ] || fail "higher than a terminal"
[ "$(wc -L <<<"$out")" -le 80 ] || fail "wider than a terminal"
contains "$out" "$ended  failed"
contains "$out" "exit code 1"
contains "$out" '[loss 33.5]'
contains "$out" 'acc\x1b[31m 0.25'
contains "$out" "gone wrong"
contains "$out" "┤"
expect_exit 0 env LC_ALL=C "$MLP" watch latest
if LC_ALL=C grep -q '[^ -~]' <<<"$out"; then fail "not ASCII: $out"; fi
contains "$(MLP_COLOR=always mlp watch)" $'\e[31m'
lacks "$(MLP_COLOR=always NO_COLOR=1 mlp watch)" $'\e'
equals "$(mlp watch --json | jq -c '[.runs[0].state, .runs[0].metrics.loss, (.gpus | type)]')" \
  '["failed",33.5,"array"]'
expect_exit 4 mlp watch no-such-run

# Samples of the machine come last, and do not take the steps from the program's own metrics.
mlp run -q sh -c 'printf "{\"step\": 50, \"zeal\": 1}\n{\"step\": 97, \"zeal\": 2}\n{\"system/cpu\": 3}\n" >>"$MLP_METRICS"' >/dev/null
expect_exit 0 mlp watch latest
contains "$out" "[zeal 2] system/cpu 3"
contains "$out" " 90  step"
mapfile -t many < <(printf '%s\n' {1..51})
expect_exit 2 mlp watch "${many[@]}"

# GPUs, where there is a driver.
if [ -n "${MLP_FAKES:-}" ]; then
  printf 'driver 580.65.06\ngpu model=NVIDIA_H200 use=87 memory=150323855360 used=36507222016 temperature=65 power=420000\n' >gpus.txt
  expect_exit 0 env LD_LIBRARY_PATH="$MLP_FAKES" FAKE_NVML="$PWD/gpus.txt" "$MLP" watch
  contains "$out" "GPU 0  H200  █████████░  87 %  34.0 GiB of 140.0 GiB  65 C  420 W"
fi

# On a terminal. The script types, sends signals, and looks at what comes back.
run=$(mlp run -d sh prog.sh 2000 0)
other=$(mlp run -d sh prog.sh 2000 0)
cat >terminal.py <<'P'
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

def fail(text):
    sys.exit("FAIL: " + text + "\n" + repr(screen[-3000:]))

def size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

def start(*words, **environment):
    global pid, fd, screen, modes
    screen = b""
    master, slave = os.openpty()
    size(master, 24, 80)
    modes = termios.tcgetattr(slave)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for to in (0, 1, 2):
            os.dup2(slave, to)
        os.execve(mlp, [mlp, "watch", *words], {**os.environ, "TERM": "xterm", **environment})
    os.close(slave)
    fd = master

def read(seconds):
    global screen
    if select.select([fd], [], [], seconds)[0]:
        try:
            screen += os.read(fd, 65536)
        except OSError:
            return False
    return True

def until(what, after=0):
    end = time.time() + 20
    while time.time() < end:
        if re.search(what, screen[after:], re.S):
            return
        read(0.1)
    fail("did not see " + repr(what))

def ended(code, restored=True):
    done = 0
    end = time.time() + 20
    while time.time() < end:
        if not read(0.1):
            break
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
    else:
        fail("did not end")
    while select.select([fd], [], [], 0.1)[0] and read(0):
        pass
    if not done:
        done, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) != code:
        fail("exit status %d, not %d" % (os.waitstatus_to_exitcode(status), code))
    if restored:
        last = screen[screen.rindex(b"\x1b[?1049h"):]
        for part in (b"\x1b[?25h", b"\x1b[?7h", b"\x1b[?1049l"):
            if part not in last:
                fail("left without " + repr(part))
        now = termios.tcgetattr(fd)
        if now[:4] != modes[:4]:
            fail("modes changed: %r %r" % (now, modes))
    # Of escapes there are only ours.
    rest = re.sub(rb"\x1b\[(\?(1049|7|25)[hl]|\d+;1H|K|2J|H|[0-9;]*m)", b"", screen)
    if re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", rest):
        fail("a control character of the run got through: " + repr(rest[:2000]))
    os.close(fd)

mlp, run, other, case = sys.argv[1], sys.argv[2].encode(), sys.argv[3].encode(), sys.argv[4]
if case == "keys":
    start()
    until(rb"run 1 of 2.*standard output.*q quit")
    until(rb"\[loss \d+.5\]")
    before = len(screen)
    os.write(fd, b"\x1b[B")
    until(rb"run 2 of 2", before)
    os.write(fd, b"\x1b[D")
    until(rb"\[acc\\x1b\[31m 0.25\]", before)
    os.write(fd, b"l")
    until(rb"standard error", before)
    os.write(fd, b"p")
    until(rb"paused", before)
    before = len(screen)
    end = time.time() + 1
    while time.time() < end:
        read(0.1)
    if len(screen) != before:
        fail("it went on: " + repr(screen[before:]))
    size(fd, 40, 120) # the kernel sends SIGWINCH
    until(rb"\x1b\[2J.*\x1b\[40;1H", before)
    size(fd, 3, 10)
    until(rb"\x1b\[2J.*\x1b\[3;1H", len(screen))
    os.write(fd, b"q")
    ended(0)
elif case == "interrupt":
    start(run.decode(), NO_COLOR="1")
    until(rb"q quit")
    os.write(fd, b"\x03")
    ended(0)
    if re.search(rb"\x1b\[[1-9]\d*m", screen):
        fail("colour in spite of NO_COLOR")
elif case == "signals":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        start()
        until(rb"q quit")
        os.kill(pid, number)
        ended(130)
    for number in (signal.SIGABRT, signal.SIGSEGV):
        start()
        until(rb"q quit")
        os.kill(pid, number)
        ended(-number)
elif case == "suspend":
    start()
    until(rb"q quit")
    before = len(screen)
    os.kill(pid, signal.SIGTSTP) # its group is an orphan: the kernel lets it go on at once
    until(rb"\x1b\[\?1049l.*\x1b\[\?1049h.*q quit", before)
    before = len(screen)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.2)
    os.kill(pid, signal.SIGCONT)
    until(rb"\x1b\[\?1049h.*q quit", before)
    os.write(fd, b"q")
    ended(0)
elif case == "dumb":
    start(TERM="dumb")
    until(rb"standard output")
    ended(0, restored=False)
    if b"\x1b" in screen:
        fail("an escape on a dumb terminal")
elif case == "hangup":
    start()
    until(rb"q quit")
    os.close(fd)
    end = time.time() + 10
    while time.time() < end and os.waitpid(pid, os.WNOHANG)[0] == 0:
        time.sleep(0.05)
    if time.time() >= end:
        os.kill(pid, signal.SIGKILL)
        sys.exit("FAIL: it outlives its terminal")
P
for case in keys interrupt signals suspend dumb hangup; do
  python3 terminal.py "$MLP" "$run" "$other" "$case" || fail "$case"
done
equals "$(mlp runs show "$run" --json | jq -r .state)" running
mlp runs cancel "$run" "$other" >/dev/null
