# Completion gives names that exist, through the scripts that a shell loads.
source "$(dirname "$0")/lib.sh"

words() { mlp __complete "$@" | cut -f1 | tr '\n' ' '; }

equals "$(words vers)" "version "
equals "$(words completion '')" "bash zsh fish "
equals "$(words data pus)" "push "
contains "$(words version --)" "--json"
equals "$(words -C '')" ":directories "
equals "$(words nonsense '')" ""

# bash itself: the script defines a function that fills COMPREPLY.
bash -c '
  source <("$1" completion bash)
  PATH=$(dirname "$1"):$PATH
  COMP_LINE="mlp completion f" COMP_POINT=16
  _mlp
  [ "${COMPREPLY[*]}" = fish ]
' _ "$MLP" || fail "bash completion"

if command -v zsh >/dev/null; then
  zsh -fc 'autoload -U compinit; compinit -D; source <('"$MLP"' completion zsh); (( $+functions[_mlp] ))' ||
    fail "zsh completion"
fi
if command -v fish >/dev/null; then
  mlp completion fish >mlp.fish
  equals "$(PATH=$(dirname "$MLP"):$PATH fish -c 'source mlp.fish; complete -C "mlp completion f"' | cut -f1)" fish
fi
