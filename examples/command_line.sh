#!/bin/sh
# The command line on a checkpoint: what it is made of, the size of a few texts' features, and a bad line among good ones.
#
#   examples/command_line.sh FOLDER        (or owner/name of an encoder, such as all-MiniLM-L6-v2)
set -eu

model=${1:?usage: examples/command_line.sh FOLDER-or-owner/name}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== what it is made of"
samovar inspect "$model"

echo "== the width of each text's features, from a pipe"
printf '%s\n' 'The samovar boils.' 'Tea is poured.' |
    samovar run feature-extraction --model "$model" - |
    python3 -c '
import json, sys
for line in sys.stdin:
    one = json.loads(line)
    print(one["line"], len(one["result"][0]), "tokens of", len(one["result"][0][0]))'

echo "== a table with a row too short: the others go on, and the exit status says so"
printf 'id,text\n1,Good tea.\n2\n3,Cold tea.\n' > "$work/texts.csv"
status=0
samovar run feature-extraction --model "$model" --file "$work/texts.csv" --output "$work/out.jsonl" || status=$?
cut -c 1-60 "$work/out.jsonl"
echo "exit status $status"
