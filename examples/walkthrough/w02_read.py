"""Read: what a model's page says of it, and an answer from the page itself."""

import json
import re
from pathlib import Path

import pages
from huggingface_hub import HfApi, InferenceClient, hf_hub_download

clf_id = "SkolkovoInstitute/russian_toxicity_classifier"
info = HfApi().model_info(clf_id)
config = json.loads(Path(hf_hub_download(clf_id, "config.json")).read_text())
print("labels:", config["id2label"])
print("weights:", info.safetensors.parameters, "licence:", info.card_data.license)
print("results:", [(one.metric_type, one.metric_value) for one in info.card_data.eval_results])

html = pages.get(f"/{clf_id}")
print("headings:", [pages.text(one).strip() for one in re.findall(r"<h[12][^>]*>(.*?)</h[12]>", html, re.S)])
samples = [pages.text(one) for one in re.findall(r'data-copy="([^"]+)"', html)]
print("code:", next(one for one in samples if "pipeline(" in one))
history = pages.text(pages.get(f"/{clf_id}/commits/main"))
print("history:", "Upload" in history)

# The widget on the page, and the same over HTTP.
answer = pages.submit(f"/{clf_id}/try", text="я тебя ненавижу")
print("on its page:", re.findall(r"<li><span>(\w+)</span>.*?<b>([\d.]+)</b>", answer))
found = InferenceClient(model=f"{pages.HUB}/models/{clf_id}").text_classification("я тебя люблю")
print("over HTTP:", found[0].label)
