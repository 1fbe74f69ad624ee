#!/usr/bin/env bash
# mlp image run as users of docker and podman expect it: what the image says and what the command
# line says over it, layers with whiteouts, signals, exit codes, terminals; hostile layers.
. "$(dirname "$0")/lib.sh"
. "$MLP_SOURCE/tests/functional/image_lib.sh"

export XDG_DATA_HOME=$HOME/.local/share
busybox_root base
mkdir base/old base/kept
echo 1 >base/old/a
echo 1 >base/kept/a
echo 1 >base/gone
ln base/gone base/twin
tar -C base -cf base.tar .
mkdir -p top/old top/kept
touch top/old/.wh..wh..opq top/.wh.gone
echo 2 >top/old/b
echo 2 >top/kept/b
tar -C top -cf top.tar .
make_image layout app:v1 '{"Env": ["PATH=/bin", "MODE=image"], "Entrypoint": ["sh", "-c"],
  "Cmd": ["echo from the image $MODE in $PWD as $(id -un)"], "WorkingDir": "/made", "User": "app"}' \
  base.tar top.tar

run() { mlp image run "$@"; }
app=oci:layout:app:v1

# The image's own words.
equals "$(run $app)" "from the image image in /made as app"
contains "$(ls "$XDG_CACHE_HOME/mlp/layers")" "$(sha256sum base.tar | cut -c1-24)"
# Ours over them.
equals "$(run $app 'echo other')" other
equals "$(run --entrypoint cat $app /etc/group | head -1)" "root:x:0:"
equals "$(run --entrypoint '' $app id -u)" 1000
equals "$(run -e MODE=line -w / -u 0 $app)" "from the image line in / as root"
equals "$(HIDDEN=x SEEN=y run -e SEEN $app 'echo $SEEN$HIDDEN')" y
# Layers: what an upper one removes, hides and shares.
equals "$(run $app 'cd /; ls -d gone old/* kept/* twin 2>/dev/null' | tr '\n' ' ')" "kept/a kept/b old/b twin "
# Changes are gone with the container.
equals "$(run -u 0 $app 'touch /new; rm -r /kept; ls -d /new')" /new
equals "$(run $app 'ls -d /new /kept 2>/dev/null')" /kept
expect_exit 1 mlp image run --read-only $app 'touch /made/x'
equals "$(run --read-only $app 'pwd; touch /tmp/x')" /made
equals "$(run --read-only -w "/../../host/$PWD/escaped/../escaped" $app pwd)" "/host$PWD/escaped"
[ ! -e escaped ] || fail "a working folder was made outside"
# Volumes.
mkdir data
echo in >data/file
equals "$(run --volume ./data:/mnt/data $app 'cat /mnt/data/file; echo out >/mnt/data/file')" in
equals "$(cat data/file)" out
expect_exit 1 mlp image run --volume "$PWD/data:/mnt/data:ro" $app 'echo x >/mnt/data/file'
expect_exit 2 mlp image run --volume data $app true
expect_exit 125 mlp image run --volume ./nowhere:/mnt $app true
contains "$err" nowhere
# Network.
equals "$(run --network none $app 'ip link | grep -c mtu')" 1
equals "$(run $app hostname)" "$(hostname)"
expect_exit 2 mlp image run --network bridge $app true
# Exit codes.
expect_exit 7 mlp image run $app 'exit 7'
expect_exit 127 mlp image run --entrypoint nosuch $app
expect_exit 126 mlp image run --entrypoint /etc/group $app
expect_exit 4 mlp image run oci:layout:nosuch true
expect_exit 125 mlp image run --memory lots $app true
contains "$err" "'lots' is no size"
# Standard input, and that options after the image are the program's.
equals "$(echo piped | run --entrypoint cat $app)" piped
equals "$(run --entrypoint ls $app -d /etc)" /etc
# Signals.
"$MLP" image run --entrypoint sh $app -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done' >signals &
wait_until 10 grep -q ready signals
kill -TERM $!
code=0
wait $! || code=$?
equals "$code" 5

# A terminal is the program's: Ctrl-C reaches it once, a shell in it has job control.
if command -v script >/dev/null; then
  script -qec "$MLP image run --entrypoint sh $app -c 'test -t 0 && test -t 1 && echo terminal'" \
    /dev/null </dev/null >typescript
  contains "$(cat typescript)" terminal
fi

# Limits hold, or are refused where they cannot.
code=0
mlp image run --memory 32MiB --entrypoint true $app 2>err || code=$?
case $code in
  0) ;;
  125) contains "$(cat err)" "no limits here" ;;
  *) fail "with a limit the exit code is $code: $(cat err)" ;;
esac

# Several at once unpack a layer once; what a killed one left is done again.
rm -rf "${XDG_CACHE_HOME:?}/mlp"
for i in 1 2 3 4; do run $app "echo $i" >"parallel.$i" & done
wait
equals "$(cat parallel.*)" "1
2
3
4"
layers=$XDG_CACHE_HOME/mlp/layers
equals "$(find "$layers" -maxdepth 1 -type d -name '*.part' | wc -l)" 0
key=$(sha256sum top.tar | cut -c1-24)
mv "$layers/$key" "$layers/$key.part"
chmod 500 "$layers/$key.part/kept"
equals "$(run $app 'cat /kept/b')" 2
[ ! -e "$layers/$key.part" ] || fail "what a killed process left is still there"

# Bytes that are not what the image says.
cp -r layout broken
rm -r "$XDG_DATA_HOME/mlp/images"
layer=$(sha256sum <(gzip -nc top.tar) | cut -d' ' -f1)
printf 'x' | dd of="broken/blobs/sha256/$layer" bs=1 seek=40 conv=notrunc 2>/dev/null
rm -rf "${layers:?}/$key"
expect_exit 8 mlp image run oci:broken:app:v1 true
[ ! -e "$layers/$key" ] || fail "a damaged layer was unpacked"

# A layer that reaches out of its folder.
mkdir hostile
ln -s "$PWD" hostile/out
tar -C hostile -cf hostile.tar out
rm hostile/out
mkdir hostile/out
echo bad >hostile/out/escaped
tar -C hostile -rf hostile.tar out/escaped
make_image layout hostile:v1 '{"Cmd": ["true"]}' base.tar hostile.tar
expect_exit 8 mlp image run oci:layout:hostile:v1
contains "$err" "symbolic link"
[ ! -e escaped ] || fail "a layer wrote outside of its folder"
