# bash completion for mlp: every word comes from `mlp __complete`.
_mlp() {
  local IFS=$'\n' line value
  COMPREPLY=()
  # bash splits words at = and :, mlp does not: rebuild the words from the line.
  local words=() rest="${COMP_LINE:0:COMP_POINT}"
  IFS=$' \t' read -r -a words <<<"$rest"
  [[ $rest == *[[:space:]] ]] && words+=("")
  while IFS= read -r line; do
    value="${line%%$'\t'*}"
    case "$value" in
      :files) compopt -o default -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "${words[-1]}"); return ;;
      :directories) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "${words[-1]}"); return ;;
      *) COMPREPLY+=("$value") ;;
    esac
  done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _mlp mlp
