#!/usr/bin/env bash
# The columns of tables as they are stored: types, blanks, ranges, gzip, other delimiters.
source "$(dirname "$0")/lib.sh"

mkdir data
printf 'name: t\ndatasets:\n  set: {path: data}\n' >mlp.yaml
printf 'id,size,colour,empty\n1,0.5,red,\n2,,"dark, red",?\n3,2.5,red,NA\n' >data/a.csv
mlp data add >/dev/null
expect_exit 0 mlp data head set
contains "$out" "a.csv: 3 rows, 4 columns"
contains "$out" "1 to 3, mean 2"
contains "$out" "0.5 to 2.5, mean 1.5"
contains "$out" "2 |  | dark, red | ?"
expect_exit 0 mlp data head set a.csv --json -n 1
equals "$(jq -c '[.columns[] | [.type, .blanks, .distinct]]' <<<"$out")" \
  '[["integer",0,3],["number",1,2],["text",0,2],["empty",3,0]]'
equals "$(jq -c .first_rows <<<"$out")" '[["1","0.5","red",""]]'
mlp data tag set one >/dev/null

printf '1;2\n3;4\n5;6\n' | gzip >data/b.csv.gz
mlp data add >/dev/null
expect_exit 2 mlp data head set
contains "$err" "a.csv, b.csv.gz"
expect_exit 0 mlp data head set b.csv.gz --rows 2 --json
equals "$(jq -c '[.rows, .complete, .header, [.columns[].name]]' <<<"$out")" \
  '[2,false,false,["column_1","column_2"]]'
expect_exit 0 mlp data head set@one
printf 'a,b\n1\n' >data/bad.csv
mlp data add >/dev/null
expect_exit 3 mlp data head set bad.csv
contains "$err" "bad.csv:2: 1 fields, the first record has 2"
expect_exit 4 mlp data head set nope.csv
expect_exit 2 mlp data head set a.csv --rows many
