# `mlp config`: where a setting's value comes from, and changes that keep the user's file.
source "$(dirname "$0")/lib.sh"
file=$XDG_CONFIG_HOME/mlp/config.yaml

expect_exit 0 mlp config get data.jobs
equals "$out" 0
expect_exit 0 mlp config set data.jobs 4
contains "$err" "$file"
equals "$(stat -c %a "$file")" 600
expect_exit 0 mlp config get data.jobs --json
equals "$(jq -c '[.value, .source, .default, .option]' <<<"$out")" '[4,"file","0","--jobs"]'
expect_exit 0 env MLP_JOBS=2 "$MLP" config get data.jobs --json
equals "$(jq -c '[.value, .source, .origin]' <<<"$out")" '[2,"environment","MLP_JOBS"]'
expect_exit 0 env MLP_JOBS=2 "$MLP" config set data.jobs 8
contains "$err" "stands above"

# Comments and the rest stay.
printf '# mine\nui: {color: never} # dark\n' >"$file"
expect_exit 0 mlp config set serve.port 9000
equals "$(cat "$file")" "$(printf '# mine\nui: {color: never} # dark\nserve:\n  port: 9000')"
expect_exit 0 mlp config set serve.port --unset
equals "$(cat "$file")" "$(printf '# mine\nui: {color: never} # dark')"

expect_exit 0 mlp config ls --json
equals "$(jq -r '.settings[] | select(.key == "ui.color") | .value' <<<"$out")" never
[ "$(jq '.settings | length' <<<"$out")" -ge 11 ] || fail "settings are missing: $out"

# Mistakes say what, where and what to do.
expect_exit 4 mlp config get data.job
contains "$err" "did you mean 'data.jobs'?"
expect_exit 2 mlp config set data.jobs many
contains "$err" "must be a whole number from 0 to 1024, not 'many'"
expect_exit 2 mlp config set data.jobs
contains "$err" "no value given"
expect_exit 3 env MLP_SERVE_PORT=x "$MLP" config ls
contains "$err" "'MLP_SERVE_PORT'"
printf 'data:\n  jobz: 3\n' >"$file"
expect_exit 3 mlp config ls
contains "$err" "$file:2:3: unknown setting 'data.jobz'"
contains "$err" "did you mean 'data.jobs'?"

# Many at once lose nothing.
rm "$file"
pids=
for key in data.jobs train.threads serve.port serve.max_connections data.compression_level; do
  mlp config set "$key" 7 2>/dev/null &
  pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
expect_exit 0 mlp config ls --json
equals "$(jq '[.settings[] | select(.source == "file")] | length' <<<"$out")" 5
