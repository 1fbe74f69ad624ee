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

# bash replaces only what follows the last =, : or @ of a word, so that is all it may be given.
bash -c '
  source <("$1" completion bash)
  mlp() { printf "%s\tit\n" digits@champion; }
  COMP_WORDBREAKS=$'"'"' \t\n"><=;|&(:@'"'"'
  COMP_LINE="mlp predict digits@ch" COMP_POINT=21
  _mlp
  [ "${COMPREPLY[*]}" = champion ]
' _ "$MLP" || fail "bash completion after @"

if command -v zsh >/dev/null; then
  zsh -fc 'autoload -U compinit; compinit -D; source <('"$MLP"' completion zsh); (( $+functions[_mlp] ))' ||
    fail "zsh completion"
fi
if command -v fish >/dev/null; then
  mlp completion fish >mlp.fish
  equals "$(PATH=$(dirname "$MLP"):$PATH fish -c 'source mlp.fish; complete -C "mlp completion f"' | cut -f1)" fish
fi
