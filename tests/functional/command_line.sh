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

# A value is not swallowed, a flag takes none, and both are named.
expect_exit 2 mlp version -C
contains "$err" "option '--directory' (-C) needs a value"
expect_exit 2 mlp version -C --json
contains "$err" "option '--directory' (-C) needs a value"
expect_exit 2 mlp version --json=yes
contains "$err" "'--json' takes no value"

# A reader that has enough is no failure: nothing is said, and the code is that of SIGPIPE.
{ sleep 0.3; "$MLP" __describe 2>"$TEST_DIR/err" || echo $? >"$TEST_DIR/code"; } | true
equals "$(cat "$TEST_DIR/code")" 141
equals "$(cat "$TEST_DIR/err")" ""

# Closed standard descriptors are not given to files that are opened later.
expect_exit 0 bash -c '"$1" version <&- 2>&-' _ "$MLP"
contains "$out" "mlp 0."
expect_exit 0 bash -c '"$1" version >&-' _ "$MLP"

# Colour: none into a pipe, unless the setting asks for it; NO_COLOR has the last word.
expect_exit 2 mlp versoin
lacks "$err" $'\e'
expect_exit 2 env MLP_COLOR=always "$MLP" versoin
contains "$err" $'\e[31;1merror:'
expect_exit 2 env MLP_COLOR=always NO_COLOR=1 "$MLP" versoin
lacks "$err" $'\e'

# Settings that are wrong do not keep anybody from help.
mkdir -p "$XDG_CONFIG_HOME/mlp"
echo 'ui: {color: mauve}' >"$XDG_CONFIG_HOME/mlp/config.yaml"
expect_exit 0 mlp --help
expect_exit 0 mlp version
rm "$XDG_CONFIG_HOME/mlp/config.yaml"
