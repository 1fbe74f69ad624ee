# The command reference is a golden text, and manual pages, help and examples come from one tree.
# MLP_TEST_ACCEPT=1 accepts a new text.
source "$(dirname "$0")/lib.sh"

golden=$MLP_SOURCE/tests/golden/commands.txt
mlp __describe >commands.txt
if [ -n "${MLP_TEST_ACCEPT:-}" ]; then cp commands.txt "$golden"; fi
diff -u "$golden" commands.txt || fail "the command reference changed; MLP_TEST_ACCEPT=1 accepts it"

mlp __describe --json >tree.json

# Every command has prose and at least one example; every page is made without an error.
mlp __man "$MLP_SOURCE/man" pages
for path in $(jq -r '.commands[] | select(.hidden | not) | .path | gsub(" "; "-")' tree.json); do
  [ -s "pages/mlp-$path.1" ] || fail "no manual page for '$path'"
  [ -f "$MLP_SOURCE/man/$path.md" ] || fail "no prose man/$path.md"
done
for prose in "$MLP_SOURCE"/man/*.md; do
  name=$(basename "$prose" .md)
  [ "$name" = mlp ] || [ -f "pages/mlp-$name.1" ] || fail "man/$name.md belongs to no command"
done
equals "$(jq -r '.commands[] | select((.hidden | not) and (.examples | length) == 0) | .path' tree.json)" ""
if command -v mandoc >/dev/null; then mandoc -T lint -W error pages/*.1; fi

# No flag twice in one command.
equals "$(jq -r '.options as $g | .commands[] | .path as $p | [.options[], $g[]] |
  ([.[].name] + [.[].letter | values]) | group_by(.)[] | select(length > 1) | $p + " " + .[0]' tree.json)" ""

# Every example parses: the words before a pipe or a redirection, with --help so that nothing runs.
jq -r '.commands[].examples[].line' tree.json | while IFS= read -r line; do
  case $line in
    mlp\ *) ;;
    *"| mlp "*) line=${line#*| } ;;
    *) fail "an example is not an mlp command: $line" ;;
  esac
  line=$(sed -E "s/^(([^'|<>;]|'[^']*')*)[|<>;].*/\1/" <<<"$line") # what stands in quotes stays
  eval "words=(${line#mlp })"
  # shellcheck disable=SC2154
  "$MLP" __parse "${words[@]}" >/dev/null || fail "an example does not parse: $line"
done
