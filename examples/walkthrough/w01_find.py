"""Find: narrow the Hub's list of models by task, library, language, licence and a part of the name."""

import re

import pages
from huggingface_hub import HfApi

api = HfApi()
found = api.list_models(
    pipeline_tag="text-classification", filter=["transformers", "ru", "license:mit"], search="toxic", sort="downloads"
)
print("by the client:", *(model.id for model in found))
newest = api.list_models(sort="created_at", limit=3)
print("newest:", *(model.id for model in newest))

# The same on the page: every state of the list is a link, with a count beside each further filter.
html = pages.get(
    "/models", pipeline_tag="text-classification", library="transformers", language="ru", license="mit", search="toxic"
)
print("on the page:", *re.findall(r'<a class="name" href="/([^"]+)"', html))
counts = re.search(r"Licenses(.*?)</section>", pages.get("/models"), re.S)
print("licences:", re.findall(r"[\w.-]+ \d+", pages.text(counts[1])))
