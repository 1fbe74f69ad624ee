#!/usr/bin/env bash
# Programs in containers of our own: isolation, changes, signals, exit codes, and that nothing is
# left; as root and as an ordinary user.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/image_lib.sh"

chmod 755 "$TEST_DIR"
busybox_root base
mkdir base/secret
echo base >base/etc/which
mkdir -p top/etc
echo top >top/etc/which
chmod 700 base/secret

# spec NAME JQ-EXPRESSION ARGUMENT...: a specification with changes to the usual one
spec() {
  local name=$1 change=$2
  shift 2
  jq -n --arg base "$PWD/base" --arg top "$PWD/top" '{layers: [$base, $top], upper: "", work: "",
    read_only: false, arguments: $ARGS.positional, environment: [], inherited: [], workdir: "/",
    user: "", mounts: [], devices: [], network: false, hostname: "mlp", signal_group: false,
    pretend_root: false} | '"$change" --args -- "$@" >"$name.json"
}
as=()
run() {
  spec spec "$@"
  "${as[@]}" "$MLP" __container spec.json
}

check_all() {
  # What is there is the image's, the upper layer over the lower one.
  contains "$(run . cat /etc/which)" top
  contains "$(run . id)" "uid=0(root) gid=0(root)"
  contains "$(run . ls / | tr '\n' ' ')" "bin dev etc home proc secret sys tmp"
  [ "$(run . sh -c 'echo $$')" = 2 ] || fail "there are other processes inside"
  [ "$(run . hostname)" = mlp ] || fail "the host name is $(run . hostname)"
  lacks "$(run . ls -a /tmp /home)" mlp-test
  run . ls /secret || fail "root cannot read a folder of mode 700"
  contains "$(run . sh -c 'echo x >/dev/null && cat /proc/self/status')" "NoNewPrivs:	1"
  # Settings of the system are not the container's to change, nor can it mount.
  expect_exit 1 run . sh -c 'echo 1 >/proc/sys/kernel/sysrq'
  expect_exit 1 run . mount -t tmpfs none /tmp
  expect_exit 1 run . cat /proc/1/exe
  # No file of ours stays open inside.
  [ "$(run . sh -c 'exec 7</etc/which; ls /proc/self/fd' 9</etc/passwd | tr '\n' ' ')" = "0 1 2 3 7 " ] ||
    fail "open inside: $(run . ls /proc/self/fd 9</etc/passwd | tr '\n' ' ')"

  # Exit codes as shells have them.
  expect_exit 7 run . sh -c 'exit 7'
  expect_exit 137 run . sh -c 'kill -9 $$'
  expect_exit 127 run . nosuch
  contains "$err" "no program 'nosuch' in the image"
  expect_exit 126 run . /etc/passwd
  expect_exit 126 run . /etc
  expect_exit 125 run '.layers=["/nonexistent"]' true
  contains "$err" "/nonexistent"
  expect_exit 125 run '.user="nobody-here"' true
  contains "$err" "no user 'nobody-here'"

  # Users.
  contains "$(run '.user="app"' id)" "uid=1000(app) gid=1001"
  contains "$(run '.user="app:team"' id)" "uid=1000(app) gid=2000(team)"
  contains "$(run '.user="77:88"' id)" "uid=77 gid=88"
  [ "$(run '.user="app"' sh -c 'echo $HOME')" = /home/app ] || fail "HOME is not the user's"
  contains "$(run '.user="app"' cat /proc/self/status)" "CapEff:	0000000000000000"

  # Environment and working folder.
  [ "$(run '.workdir="/made/here"' pwd)" = /made/here ] || fail "the working folder was not made"
  contains "$(run '.environment=["A","b c"]' env)" "A=b c"
  contains "$(TOKEN=t0p run '.inherited=["TOKEN"]' env)" "TOKEN=t0p"
  lacks "$(TOKEN=t0p run . env)" TOKEN
  lacks "$(cat spec.json)" t0p

  # The network: nothing but a loopback, or the host's.
  contains "$(run . ip addr)" "LOOPBACK,UP"
  [ "$(run . sh -c 'ip link | grep -c mtu')" = 1 ] || fail "there are other interfaces inside"
  [ "$(run '.network=true' sh -c 'ip link | grep -c mtu')" = "$(run '.network=true' ip link | grep -c mtu)" ]
  contains "$(run . cat /etc/hosts)" "127.0.0.1 mlp"
  [ "$(run '.network=true' cat /etc/hosts)" = "$(cat /etc/hosts)" ] || fail "/etc/hosts differs"
  run '.network=true' sh -c 'echo >/etc/hosts'
  [ -s /etc/hosts ] || fail "the host's /etc/hosts was changed"

  # Mounts; what has no place in the image gets one that leaves no trace.
  "${as[@]}" mkdir -p "$dir/data" "$dir/upper" "$dir/work"
  "${as[@]}" sh -c "echo in >$dir/data/file"
  mounts='.mounts=[{source: "'$dir'/data/file", target: "/new/place/file", read_only: false},
    {source: "'$dir'/data", target: "/mnt/data", read_only: true}]'
  contains "$(run "$mounts" cat /new/place/file /mnt/data/file)" "in
in"
  expect_exit 1 run "$mounts" touch /mnt/data/new
  upper='.upper="'$dir/upper'" | .work="'$dir/work'"'
  run "$mounts | $upper" sh -c 'echo changed >/etc/which; rm /etc/group; rm -r /home; mkdir /home;
    echo out >/new/place/file; mkdir -p /a/b'
  [ "$(cat "$dir/data/file")" = out ] || fail "a file that is mounted was not written"
  [ "$(cat "$dir/upper/etc/which")" = changed ] || fail "the change is not in the upper folder"
  [ "$(stat -c '%F %t:%T' "$dir/upper/etc/group")" = "character special file 0:0" ] ||
    fail "no whiteout for what was removed"
  [ "$(cd "$dir/upper" && find . -mindepth 1 | sort | tr '\n' ' ')" = "./a ./a/b ./etc ./etc/group ./etc/which ./home " ] ||
    fail "in the upper folder: $(cd "$dir/upper" && find . | sort | tr '\n' ' ')"
  [ "$(cat top/etc/which)" = top ] || fail "a layer was changed"
  contains "$(run "$upper" cat /etc/which)" changed

  # Where a link of the image is in the way, too.
  ln -sfn ../run/elsewhere base/etc/resolv.conf
  run "$upper"' | .network=true' cat /etc/resolv.conf >seen
  cmp -s seen /etc/resolv.conf || fail "no resolv.conf behind a link"
  [ ! -e "$dir/upper/run/elsewhere" ] || fail "a mount point is left in the upper folder"
  # Links of an image lead nowhere outside.
  ln -sfn / base/etc/rooted
  run '.mounts=[{source: "'$dir'/data", target: "/etc/rooted/etc/sub", read_only: false}]' \
    ls /etc/sub/file >/dev/null || fail "a link to / was not followed inside"
  rm base/etc/resolv.conf base/etc/rooted

  expect_exit 1 run '.read_only=true' touch /new
  run '.read_only=true' touch /tmp/new /run/new

  # Installers believe that they are root.
  expect_exit 1 run . chown 5:5 /etc/which
  run '.pretend_root=true' chown 5:6 /etc/which
  run '.pretend_root=true' sh -c 'mknod /tmp/device c 1 3 && [ ! -e /tmp/device ]'
  run '.pretend_root=true' sh -c 'mkfifo /tmp/pipe && [ -p /tmp/pipe ] && sync'

  # Signals arrive, orphans are reaped, and the death of the outer process is that of all.
  spec spec . sh -c 'trap "echo got; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
  "${as[@]}" "$MLP" __container spec.json >signals &
  until grep -q ready signals; do sleep 0.02; done
  kill -TERM $!
  code=0
  wait $! || code=$?
  [ "$code" = 5 ] || fail "after SIGTERM the exit code is $code"
  [ "$(grep -c got signals)" = 1 ] || fail "the signal came $(grep -c got signals) times"
  [ "$(run . sh -c '(sleep 0.1 & ) ; sleep 0.3; cat /proc/[0-9]*/stat | grep -c ") Z "')" = 0 ] ||
    fail "a zombie is left"

  marker=34567$((RANDOM % 1000))
  spec spec . sh -c "setsid sleep $marker & nohup sleep $marker & sleep 0.2; echo ready; sleep $marker"
  "${as[@]}" "$MLP" __container spec.json >started 2>&1 &
  until grep -q ready started; do sleep 0.02; done
  pgrep -f "sleep $marker\$" >/dev/null || fail "the processes are not there"
  kill -9 $!
  wait $! 2>/dev/null || true
  for _ in $(seq 100); do
    pgrep -f "sleep $marker\$" >/dev/null || break
    sleep 0.02
  done
  if pgrep -f "sleep $marker\$" >/dev/null; then fail "processes outlive the outer one"; fi
}

dir=$TEST_DIR/mine
mkdir "$dir"
check_all

if [ "$(id -u)" = 0 ]; then
  echo "as an ordinary user"
  cp "$MLP" "$TEST_DIR/mlp" # the build may lie where others cannot read
  MLP=$TEST_DIR/mlp
  chown -R 65534:65534 base top
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  dir=$TEST_DIR/theirs
  mkdir "$dir"
  chown 65534:65534 "$dir"
  check_all
fi

# Two hundred layers are one root.
rm -rf base/etc/rooted
layers=()
for i in $(seq 198); do
  mkdir -p "layers/a-layer-with-a-long-name-$i/n"
  touch "layers/a-layer-with-a-long-name-$i/n/$i"
  layers+=("$PWD/layers/a-layer-with-a-long-name-$i")
done
many=$(printf '%s\n' "${layers[@]}" | jq -R . | jq -sc .)
[ "$(run ".layers += $many" sh -c 'ls /n | wc -l')" = 198 ] || fail "not all layers are there"
