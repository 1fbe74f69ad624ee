#!/usr/bin/env bash
# A rule that cannot be broken tests nothing: plants a breach of each in a copy of the tree and
# wants it found.
set -euo pipefail

source_tree=${MLP_SOURCE:?the source tree}
rules=$source_tree/tests/structure/rules.py
copy=$(mktemp -d "${TMPDIR:-/tmp}/mlp-rules.XXXXXX")
trap 'rm -rf "$copy"' EXIT
cp -r "$source_tree"/{kernels,core,backends,cli,tests} "$copy"

expected=()
# append FILE TEXT WHAT: a breach at the end of a file, and how it is named.
append() {
  printf '%s\n' "$2" >>"$copy/$1"
  expected+=("$3")
}
# create FILE TEXT WHAT
create() {
  printf '%s\n' "$2" >"$copy/$1"
  expected+=("$3")
}

before=$(python3 "$rules" "$copy" || true)

append core/base/text.cpp '#include "cli/output.hpp"' 'core must not include cli: cli/output.hpp'
append core/data/manifest.cpp '#include "backends/storage/file/file_storage.hpp"' 'core must not include backends'
append core/base/text.cpp '#include "core/config/value.hpp"' 'core/base must not include core/config'
append core/data/manifest.cpp '#include "core/train/fit.hpp"' 'core/data must not include core/train'
append core/config/value.cpp '#include "core/db/database.hpp"' 'core/config must not include core/db'
append core/data/manifest.cpp '#include "kernels/device.hpp"' 'core must not include kernels'
append kernels/device.cpp '#include "core/base/text.hpp"' 'kernels must not include core'
append cli/output.cpp '#include "kernels/device.hpp"' 'cli must not include kernels'
append core/base/text.hpp '#include <fmt/format.h>' "a third party's: fmt/format.h"
append core/data/manifest.hpp '#include "core/base/json.hpp"' 'which is for .cpp files'
append core/base/text.cpp "// TO""DO: later" 'unfinished work'
append cli/commands/version.cpp 'const Command other_command = {.path = "x"};' 'defines 2 commands'
append tests/unit/CMakeLists.txt 'core/base/text_test.cpp' 'text_test.cpp is listed 2 times'
create core/base/orphan.cpp '// Nobody builds this.' 'orphan.cpp:1: in no CMakeLists.txt'
create core/base/mute.hpp 'int x;' 'mute.hpp:1: the file does not open with a comment'
create core/base/bare.hpp '// No guard.' 'bare.hpp:1: a header lacks #pragma once'
create core/base/huge.cpp "$(printf '// Huge.\n%.0s' {1..700})" "does not say 'long because'"
create cli/commands/lone.cpp 'const Command lone_command = {.path = "lone"};' 'lone_command is not in the table'
create cli/commands/other.cpp 'const Command version_command = {.path = "version"};' 'is also defined in'
mkdir "$copy/core/newroom"
create core/newroom/x.cpp '// x' 'core/newroom has no rank'
sed -i 's/&version_command,/&version_command, \&version_command,/' "$copy/cli/commands.cpp"
expected+=('version_command is in the table 2 times')

found=$(python3 "$rules" "$copy" || true)
failed=0
for what in "${expected[@]}"; do
  if grep -qF -- "$what" <<<"$before" || ! grep -qF -- "$what" <<<"$found"; then
    echo "FAIL: this breach was not found: $what" >&2
    failed=1
  fi
done
exit $failed
