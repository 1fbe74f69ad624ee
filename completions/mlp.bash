# bash completion for mlp: every word comes from `mlp __complete`.
_mlp() {
  # bash splits words at = : and @, mlp does not: rebuild the words from the line.
  local line="${COMP_LINE:0:COMP_POINT}" words=() current value offered
  IFS=$' \t' read -r -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current="${words[${#words[@]} - 1]}"
  # What bash will replace is the part after the last of those characters only.
  local kept="" part="${current##*[=:@]}"
  case "$COMP_WORDBREAKS" in
    *[=:@]*) [[ $current == *[=:@]* ]] && kept="${current%"$part"}" ;;
  esac
  COMPREPLY=()
  while IFS= read -r offered; do
    value="${offered%%$'\t'*}"
    case "$value" in
      :files) compopt -o default; return ;;
      :directories) compopt -o dirnames; return ;;
      *) COMPREPLY+=("${value#"$kept"}") ;;
    esac
  done < <("${words[0]/#\~/$HOME}" __complete "${words[@]:1}" 2>/dev/null)
}
complete -F _mlp mlp
