#!/bin/sh
# A Hub of one's own: start it, make a user, push a model with the stock client, find it, fetch it, check and copy the Hub.
#
#   examples/hub.sh [FOLDER]        (where the Hub's data goes; a temporary folder if not given)
set -eu

work=$(mktemp -d)
data=${1:-$work/data}
hub=
trap 'if [ -n "$hub" ]; then kill "$hub"; wait "$hub" || true; fi; rm -rf "$work"' EXIT

echo "== start it"
samovar hub serve --port 0 --data "$data" > "$work/ready" 2> "$work/log" &
hub=$!
until grep -q "Hub ready" "$work/ready"; do
    kill -0 "$hub" 2> /dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.2
done
sed 's/at .*/at its address/' "$work/ready"

echo "== a user and a token; from here on every client works as usual"
echo 'a long password' | samovar hub user add ada --password-stdin --data "$data"
HF_ENDPOINT=$(sed 's/.* at //' "$work/ready")
HF_TOKEN=$(samovar hub token create ada --role write --data "$data")
HF_HOME=$work/home
export HF_ENDPOINT HF_TOKEN HF_HOME HF_HUB_OFFLINE=0 HF_HUB_DISABLE_PROGRESS_BARS=1

mkdir "$work/model"
printf -- '---\nlicense: mit\npipeline_tag: text-classification\n---\n# Tea or coffee\n' > "$work/model/README.md"
echo '{"model_type": "bert", "architectures": ["BertForSequenceClassification"]}' > "$work/model/config.json"
python3 - "$work/model" << 'END'
import os, sys
from huggingface_hub import HfApi

api = HfApi()
api.create_repo("ada/tea")
open(os.path.join(sys.argv[1], "weights.bin"), "wb").write(os.urandom(3_000_000))
api.upload_folder(folder_path=sys.argv[1], repo_id="ada/tea")
for model in api.list_models(pipeline_tag="text-classification", filter="license:mit"):
    print("found", model.id)
path = api.hf_hub_download("ada/tea", "weights.bin")
print("fetched", os.path.getsize(path), "bytes")
END

echo "== a copy while it runs, and a check"
samovar hub backup "$work/backup" --data "$data" 2>&1
samovar hub fsck --data "$data" 2>&1
