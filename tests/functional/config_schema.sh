# The JSON Schema of mlp.yaml: as it was (tests/golden/mlp.schema.json), and true of what mlp takes.
source "$(dirname "$0")/lib.sh"
golden=$MLP_SOURCE/tests/golden/mlp.schema.json

expect_exit 0 mlp config schema
if [ "${MLP_TEST_ACCEPT:-}" = 1 ]; then printf '%s\n' "$out" >"$golden"; fi
diff -u "$golden" <(printf '%s\n' "$out") || fail "the schema changed; MLP_TEST_ACCEPT=1 takes it"
equals "$(jq -r '."$schema"' <<<"$out")" "https://json-schema.org/draft/2020-12/schema"
printf '%s\n' "$out" >schema.json

python3 -c 'import jsonschema, yaml' 2>/dev/null ||
  skip "python3-jsonschema and python3-yaml are not here: the schema was compared, not tried"
for template in $(mlp init --list --json | jq -r '.templates[].name'); do
  mlp init "$template" --template "$template" >/dev/null
done
cat >bad.yaml <<'YAML'
name: a
tasks:
  t: {num_nodes: many, trainer: {kind: clasifier}}
YAML
python3 -W ignore - <<'PYTHON'
import glob, json, yaml
from jsonschema import Draft202012Validator

schema = json.load(open("schema.json"))
Draft202012Validator.check_schema(schema)
check = Draft202012Validator(schema)
files = glob.glob("*/mlp.yaml")
assert len(files) >= 4, files
for file in files:
    errors = [error.message for error in check.iter_errors(yaml.safe_load(open(file)))]
    assert not errors, (file, errors)
assert len(list(check.iter_errors(yaml.safe_load(open("bad.yaml"))))) == 2
assert list(check.iter_errors({"name": "a", "datset": {}}))
assert list(check.iter_errors({}))
PYTHON
