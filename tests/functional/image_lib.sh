# What tests of images share. Sourced after lib.sh.
# shellcheck shell=bash

# Skips where the kernel forbids containers.
needs_containers() {
  command -v busybox >/dev/null || skip "busybox is not installed"
  unshare -Urm true 2>/dev/null || skip "no user namespaces here"
}

# as_nobody COMMAND...
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# make_base FOLDER: an OCI layout with a small system of busybox; by hand, so that no tool of ours
# is in its making. The same bytes every time.
make_base() {
  local root blobs=$1/blobs/sha256 diff layer config manifest
  root=$(mktemp -d "$TEST_DIR/root.XXXX")
  mkdir -p "$root"/{bin,etc,tmp,root,proc,dev,sys,run,usr/bin,var/log} "$blobs"
  chmod 1777 "$root/tmp"
  cp "$(command -v busybox)" "$root/bin/busybox"
  for tool in sh ls cat echo rm mkdir chmod ln cp test id env sleep true false kill ps head grep pwd \
    touch date stat mount wget tar sort tr find sync chown; do
    ln -s busybox "$root/bin/$tool"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\nada:x:1000:\nmail:x:8:\n' >"$root/etc/group"
  echo welcome >"$root/etc/motd"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1600000000 -C "$root" -cf "$1/t" .
  diff=$(sha256sum "$1/t" | cut -c1-64)
  gzip -n "$1/t"
  layer=$(sha256sum "$1/t.gz" | cut -c1-64)
  local size
  size=$(stat -c %s "$1/t.gz")
  mv "$1/t.gz" "$blobs/$layer"
  put() { # TEXT: stores it, prints digest and size
    local digest
    digest=$(printf '%s' "$1" | sha256sum | cut -c1-64)
    printf '%s' "$1" >"$blobs/$digest"
    echo "$digest ${#1}"
  }
  config=$(put '{"architecture":"'"$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')"'","os":"linux","created":"2020-09-13T12:26:40Z","config":{"Env":["PATH=/usr/bin:/bin"],"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:'"$diff"'"]}}')
  manifest=$(put '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:'"${config% *}"'","size":'"${config#* }"'},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:'"$layer"'","size":'"$size"'}]}')
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s}]}' \
    "${manifest% *}" "${manifest#* }" >"$1/index.json"
  printf '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
  rm -r "$root"
}
