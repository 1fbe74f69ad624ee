# `mlp init` on a full disk is an error; once there is room, the same command completes the project.
source "$(dirname "$0")/lib.sh"

small_disk 64k
disk=$TEST_DIR/disk
head -c 40k /dev/zero >"$disk/filler"
code=0
mlp init "$disk/p" --template image-classifier >/dev/null 2>"$TEST_DIR/err" || code=$?
[ "$code" != 0 ] || fail "a full disk went unnoticed"
[ ! -e "$disk/p/mlp.yaml" ] || fail "a project without its files"
mount -o remount,size=1m "$disk"
expect_exit 0 mlp init "$disk/p" --template image-classifier
