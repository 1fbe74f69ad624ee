#!/usr/bin/env bash
# Models: versions, aliases, references, export with its digest checked.
source "$(dirname "$0")/lib.sh"

mkdir p && cd p
echo 'name: p' >mlp.yaml
mkdir net && echo weights-1 >net/w.bin
expect_exit 0 mlp model ls
contains "$err" "no models"
expect_exit 0 mlp model register digits net
equals "$out" "digits@1"
expect_exit 0 mlp model register digits net
equals "$out" "digits@1"
echo weights-2 >net/w.bin
expect_exit 0 mlp model register digits net
equals "$out" "digits@2"
expect_exit 0 mlp model alias digits@1 champion
equals "$out" "digits@champion is digits@1"
expect_exit 0 mlp model export digits@champion out
equals "$(cat out/w.bin)" weights-1
expect_exit 5 mlp model export digits out
equals "$(cat out/w.bin)" weights-1
expect_exit 0 mlp model export digits out --force
equals "$(cat out/w.bin)" weights-2
expect_exit 0 mlp model ls digits
contains "$out" "champion"
expect_exit 4 mlp model show digit
contains "$err" "did you mean 'digits'"
expect_exit 4 mlp model show digits@champoin
contains "$err" "did you mean 'champion'"
expect_exit 4 mlp model show digits@7
expect_exit 2 mlp model show 'digits@'
expect_exit 2 mlp model alias digits@1 latest
expect_exit 2 mlp model register 'a/b' net
expect_exit 4 mlp model register digits nowhere
expect_exit 0 mlp model alias digits champion --remove
expect_exit 4 mlp model alias digits champion --remove
contains "$("$MLP" __complete model show '' 2>/dev/null)" "digits"

# A flipped bit in the stored weights is found.
chmod u+w .mlp/objects/packs/*.pack
sed -i 's/weights-2/weights-3/' .mlp/objects/packs/*.pack
rm -rf out .mlp/cache
expect_exit 8 mlp model export digits out
