# The .deb holds the binary, manual pages and completions, and what it holds works.
source "$(dirname "$0")/../functional/lib.sh"
command -v dpkg-deb >/dev/null || skip "dpkg-deb is not installed"

cpack --config "$MLP_BUILD/CPackConfig.cmake" -B "$TEST_DIR/package" >cpack.txt 2>&1 || fail "$(cat cpack.txt)"
deb=$(echo "$TEST_DIR"/package/mlp_*.deb)
dpkg-deb -x "$deb" root
contains "$(dpkg-deb -f "$deb" Depends)" libdnnl2
contains "$(root/usr/bin/mlp --version)" "mlp 0."
for file in usr/share/man/man1/mlp.1 usr/share/man/man1/mlp-data-push.1 \
  usr/share/bash-completion/completions/mlp usr/share/zsh/vendor-completions/_mlp \
  usr/share/fish/vendor_completions.d/mlp.fish usr/share/doc/mlp/copyright; do
  [ -s "root/$file" ] || [ -s "root/$file.gz" ] || fail "the package lacks /$file"
done
