#!/usr/bin/env bash
# Debian's own installers in a container without privilege, as root and as an ordinary user: packages
# with system users, setgid programs and services install to their end, with the same files.
. "$(dirname "$0")/../functional/lib.sh"

command -v mmdebstrap >/dev/null || skip "no mmdebstrap"
[ "$(id -u)" = 0 ] || skip "needs root, to become an ordinary user"
unshare -Ur true 2>/dev/null || skip "no user namespaces here"
mmdebstrap --quiet --variant=minbase bookworm debian.tar 2>log || skip "no Debian mirror: $(tail -1 log)"

chmod 755 "$TEST_DIR" "$TEST_DIR/work"
cp "$MLP" "$TEST_DIR/mlp"

# install FOLDER COMMAND...: installs packages over the base, by COMMAND
install_as() {
  local folder=$1 owner=$2
  shift 2
  mkdir -p "$folder/base" "$folder/upper" "$folder/work"
  tar -C "$folder/base" --exclude './dev/*' --no-same-owner -xf debian.tar
  chown -R "$owner:$owner" "$folder"
  jq -n --arg f "$PWD/$folder" '{layers: [$f + "/base"], upper: ($f + "/upper"), work: ($f + "/work"),
    read_only: false, arguments: ["sh", "-c", "apt-get update -qq && apt-get install -y -qq --no-install-recommends dbus openssh-client man-db passwd"],
    environment: ["DEBIAN_FRONTEND", "noninteractive"], inherited: [], workdir: "/", user: "",
    mounts: [], devices: [], network: true, hostname: "mlp", signal_group: false,
    pretend_root: true}' >"$folder/spec.json"
  "$@" "$TEST_DIR/mlp" __container "$folder/spec.json" >"$folder/log" 2>&1 ||
    fail "installing as $owner: $(tail -20 "$folder/log")"
  lacks "$(cat "$folder/log")" "dpkg: error"
}

install_as root 0 env
install_as user 65534 setpriv --reuid=65534 --regid=65534 --clear-groups

for folder in root user; do
  [ -u "$folder/upper/usr/lib/dbus-1.0/dbus-daemon-launch-helper" ] || fail "$folder: no setuid bit"
  [ -g "$folder/upper/usr/bin/ssh-agent" ] || fail "$folder: no setgid bit"
  grep -q '^messagebus:' "$folder/upper/etc/passwd" || fail "$folder: no system user"
done
# The same names, modes and kinds, whoever installed; times and caches of apt differ.
files() { (cd "$1/upper" && find . -path ./var/cache -prune -o -path ./tmp -prune -o -printf '%p %m %y\n' | sort); }
diff <(files root) <(files user) || fail "the two installations differ"
for file in etc/passwd etc/group etc/shadow var/lib/dpkg/status; do
  cmp "root/upper/$file" "user/upper/$file" || fail "$file differs"
done
