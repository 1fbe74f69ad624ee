#!/usr/bin/env bash
# The binary loads what each command needs anyway, and nothing else: every library costs start-up
# time, and a machine that lacks it could not even run `mlp --version`. Others are opened on need.
set -euo pipefail
export LC_ALL=C

# The dynamic linker itself is there in any case; the static CUDA runtime names it.
needed=$(readelf -d "${MLP:?the binary}" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
  grep -v '^ld-linux' | sort | tr '\n' ' ')
case $needed in
  *libasan* | *libtsan* | *libubsan*)
    echo "SKIP: a build with sanitizers loads their libraries"
    exit 77
    ;;
esac
allowed=${MLP_NEEDED:?the libraries expected}
if [ "$needed" != "$allowed " ]; then
  echo "FAIL: the binary needs: $needed" >&2
  echo "it should need:         $allowed" >&2
  exit 1
fi
