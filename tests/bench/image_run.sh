#!/usr/bin/env bash
# Start to exit of `true` in a container: `mlp image run` beside `runc run` and `crun run` of the same
# root file system, in the same run. image_run.sh [ROUNDS]. Prints medians, and how much longer than
# runc ours takes; more than IMAGE_RUN_LIMIT_MS, where that is set, is a failure.
set -euo pipefail

MLP=${MLP:?the binary}
TIMER=${TIMER:?process_timer}
MLP_SOURCE=${MLP_SOURCE:?the source tree}
rounds=${1:-50}

folder=$(mktemp -d "${TMPDIR:-/tmp}/mlp-image-run.XXXXXX")
trap 'rm -rf "$folder"' EXIT
export HOME=$folder/home XDG_CACHE_HOME=$folder/cache
mkdir "$HOME"
cd "$folder"
skip() {
  echo "skipped: $*" >&2
  exit 77
}
. "$MLP_SOURCE/tests/functional/image_lib.sh"

busybox_root bundle/rootfs
tar -C bundle/rootfs -cf base.tar .
make_image layout base:latest '{"Cmd": ["/bin/true"]}' base.tar
"$MLP" image import layout >/dev/null 2>&1 || "$MLP" image copy oci:layout:base:latest base >/dev/null
{
  echo "$MLP image run base"
  for runtime in runc crun; do
    command -v "$runtime" >/dev/null || continue
    [ -f bundle/config.json ] || (cd bundle && "$runtime" spec)
    jq '.process.terminal = false | .process.args = ["/bin/true"]' bundle/config.json >config
    mv config bundle/config.json
    cat >"run-$runtime" <<END
#!/bin/sh
exec $runtime run --bundle $folder/bundle bench-\$\$
END
    chmod +x "run-$runtime"
    echo "$folder/run-$runtime"
  done
} >commands
"$TIMER" "$rounds" commands >"$folder/times"
awk -F '\t' -v limit="${IMAGE_RUN_LIMIT_MS:-0}" '
  { n = split($5, words, "/"); name = $5 ~ /image run/ ? "mlp image run" : substr(words[n], 5) " run" }
  { printf "%-14s %8.2f ms (%.2f-%.2f)\n", name, $1, $2, $3; median[name] = $1 }
  END {
    if (!("runc run" in median)) exit 0
    more = median["mlp image run"] - median["runc run"]
    printf "over runc: %.2f ms\n", more
    exit limit > 0 && more > limit
  }' "$folder/times"
