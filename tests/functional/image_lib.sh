# Sourced after lib.sh by tests that run images: small images made of a static busybox.
# shellcheck shell=bash

busybox=$(command -v busybox) || skip "no busybox"
if ldd "$busybox" >/dev/null 2>&1; then skip "busybox is not static (package busybox-static)"; fi
unshare -Ur true 2>/dev/null || skip "no user namespaces here"

# busybox_root FOLDER: a root file system with a shell and some programs.
busybox_root() {
  local name
  mkdir -p "$1/bin" "$1/etc" "$1/home/app"
  cp "$busybox" "$1/bin/busybox"
  for name in sh ls cat id touch mkdir rm rmdir sleep kill chown mknod mkfifo hostname ps ip true \
    mount sync env pwd wc grep setsid nohup stat; do
    ln -sf busybox "$1/bin/$name"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n' >"$1/etc/passwd"
  printf 'root:x:0:\nteam:x:2000:app\n' >"$1/etc/group"
}

# blob LAYOUT FILE: moves it to the layout's blobs and prints its digest.
blob() {
  local digest
  digest=$(sha256sum "$2" | cut -d' ' -f1)
  mv "$2" "$1/blobs/sha256/$digest"
  echo "sha256:$digest"
}

# make_image LAYOUT NAME CONFIG TAR...: an image of these layers (plain tar files, which stay), with
# CONFIG as its configuration's "config", added to an OCI layout.
make_image() {
  local layout=$1 name=$2 config=$3 tar layers='[]' ids='[]' digest size architecture
  shift 3
  mkdir -p "$layout/blobs/sha256"
  echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
  [ -f "$layout/index.json" ] || echo '{"schemaVersion":2,"manifests":[]}' >"$layout/index.json"
  for tar in "$@"; do
    ids=$(jq -c --arg id "sha256:$(sha256sum "$tar" | cut -d' ' -f1)" '. + [$id]' <<<"$ids")
    gzip -nc "$tar" >"$layout/part"
    size=$(stat -c %s "$layout/part")
    digest=$(blob "$layout" "$layout/part")
    layers=$(jq -c --arg d "$digest" --argjson s "$size" '. + [{mediaType:
      "application/vnd.oci.image.layer.v1.tar+gzip", digest: $d, size: $s}]' <<<"$layers")
  done
  case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) skip "no images for $(uname -m) here" ;;
  esac
  jq -nc --arg a "$architecture" --argjson ids "$ids" --argjson config "$config" '{architecture: $a,
    os: "linux", config: $config, rootfs: {type: "layers", diff_ids: $ids},
    history: ($ids | map({created_by: "a layer"}))}' >"$layout/part"
  size=$(stat -c %s "$layout/part")
  digest=$(blob "$layout" "$layout/part")
  jq -nc --arg d "$digest" --argjson s "$size" --argjson layers "$layers" '{schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json", config: {mediaType:
    "application/vnd.oci.image.config.v1+json", digest: $d, size: $s}, layers: $layers}' \
    >"$layout/part"
  size=$(stat -c %s "$layout/part")
  digest=$(blob "$layout" "$layout/part")
  jq -c --arg d "$digest" --argjson s "$size" --arg n "$name" '.manifests += [{mediaType:
    "application/vnd.oci.image.manifest.v1+json", digest: $d, size: $s, annotations:
    {"org.opencontainers.image.ref.name": $n}}]' "$layout/index.json" >"$layout/part"
  mv "$layout/part" "$layout/index.json"
}

# as_nobody COMMAND...
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# make_base FOLDER: an OCI layout with one image, a small system for builds. The same bytes every
# time.
make_base() {
  local name root=$TEST_DIR/base-root
  busybox_root "$root"
  mkdir -p "$root"/{tmp,root,proc,dev,sys,run,usr/bin,var/log} "$1"
  chmod 1777 "$root/tmp"
  for name in chmod cp date echo env false find head ln sort tar test tr; do
    ln -sf busybox "$root/bin/$name"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000:Ada:/home/ada:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\nada:x:1000:\n' >"$root/etc/group"
  echo welcome >"$root/etc/motd"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1600000000 -C "$root" \
    -cf "$TEST_DIR/base.tar" .
  make_image "$1" base '{"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"]}' "$TEST_DIR/base.tar"
  rm -r "$root" "$TEST_DIR/base.tar"
}
