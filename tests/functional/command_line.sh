# What a user meets before any project: help, mistakes answered with the nearest name, exit codes.
source "$(dirname "$0")/lib.sh"

expect_exit 0 mlp --help
contains "$out" "usage: mlp"
expect_exit 0 mlp --version
contains "$out" "mlp 0."
expect_exit 0 mlp version --json
equals "$(jq -r .version <<<"$out")" 1

# Every command answers --help, outside a project and without a store or a home.
while read -r path; do
  # shellcheck disable=SC2086
  expect_exit 0 env -u HOME -u XDG_CONFIG_HOME "$MLP" $path --help
  contains "$out" "usage: mlp $path"
done < <(mlp __describe --json | jq -r '.commands[] | select(.hidden | not) | .path')

expect_exit 2 mlp
contains "$err" "no command given"
expect_exit 2 mlp versoin
contains "$err" "did you mean 'version'?"
expect_exit 2 mlp version --jsn
contains "$err" "did you mean '--json'?"
expect_exit 2 mlp version more
contains "$err" "unexpected argument 'more'"
expect_exit 2 mlp data
contains "$err" "no verb given for 'data'"
expect_exit 2 mlp data psuh
contains "$err" "did you mean 'push'?"
expect_exit 2 mlp completion
contains "$err" "missing argument SHELL"
expect_exit 4 mlp -C /nonexistent version
contains "$err" "/nonexistent"

# With --json an error is one record on standard error, and standard output stays empty.
expect_exit 2 mlp completion tcsh --json
equals "$out" ""
equals "$(jq -r '.version, .error.kind, .error.exit_code' <<<"$err" | tr '\n' ' ')" "1 usage 2 "

# A standard output that cannot take the result is an error, not silence.
if [ -w /dev/full ]; then
  code=0
  mlp __describe >/dev/full 2>"$TEST_DIR/err" || code=$?
  equals "$code" 1
  contains "$(cat "$TEST_DIR/err")" "standard output"
fi

# Terminal escapes in a mistake are not passed on to the terminal.
expect_exit 2 mlp $'\e[31mred'
lacks "$err" $'\e'
