# The completion scripts in the shells themselves, with keys typed into a terminal.
source "$(dirname "$0")/lib.sh"
command -v tmux >/dev/null || skip "no tmux to type into"

mkdir bin dir_one
ln -s "$MLP" bin/mlp
for shell in bash zsh fish; do mlp completion $shell >"completion.$shell"; done

in_terminal() { tmux -S "$TEST_DIR/tmux.$shell" -f /dev/null "$@"; }
screen() { in_terminal capture-pane -p | grep -v '^ *$'; }
last_line() { screen | tail -n 1; }
shows() { [[ $(last_line) == "$1"* ]]; }
type_in() { in_terminal send-keys -l "$1"; }

# completes TYPED WANTED: Tab makes one of the other.
completes() {
  in_terminal send-keys C-u
  type_in "$1"
  wait_until 20 shows "> $1"
  in_terminal send-keys Tab
  wait_until 20 shows "> $2"
}

try_shell() {
  local shell=$1 start=$2 prepare=$3
  command -v "$shell" >/dev/null || {
    echo "SKIP: no $shell" >&2
    return 0
  }
  in_terminal new-session -d -x 100 -y 20 "env PATH='$PWD/bin:$PATH' TERM=screen $start"
  type_in "$prepare"
  in_terminal send-keys Enter
  type_in "clear"
  in_terminal send-keys Enter
  wait_until 20 shows ">"
  completes "mlp vers" "mlp version"
  completes "mlp completion f" "mlp completion fish"
  completes "mlp version --no" "mlp version --no-progress"
  completes "mlp data pus" "mlp data push"
  completes "mlp -C dir" "mlp -C dir_one/"
  completes "mlp version --directory=di" "mlp version --directory=dir_one/"
  in_terminal kill-server
}

try_shell bash "bash --norc" "PS1='> '; source completion.bash"
try_shell zsh "zsh -f" "PS1='> '; autoload -U compinit; compinit -D -u; source completion.zsh"
try_shell fish "fish --no-config" "function fish_prompt; echo -n '> '; end; source completion.fish"
