"""Data: load it, stream it, find it by filters, look into it; all by the field's own `datasets` library."""

import time

import httpx
import pages
from datasets import load_dataset
from huggingface_hub import HfApi

full_id = "cornell-movie-review-data/rotten_tomatoes"  # Releases of `datasets` up to 4 take `rotten_tomatoes`, too.
data = load_dataset(full_id)
print({split: len(rows) for split, rows in data.items()}, data["train"].features["label"].names)
streamed = load_dataset(full_id, split="train", streaming=True)
print("streamed:", next(iter(streamed)) == data["train"][0])

found = HfApi().list_datasets(filter=["task_categories:text-classification", "language:en"], search="tomatoes")
print("found:", *(one.id for one in found))
listed = pages.get("/datasets", task_categories="text-classification", language="language:en", search="tomatoes")
print("on the page:", full_id in listed)

# The viewer: rows, search and statistics, here and on the data set's page.
VIEWER = pages.HUB.replace("//huggingface.co", "//datasets-server.huggingface.co")
where = {"dataset": full_id, "config": "default", "split": "train"}


def viewed(what: str, **more: object) -> dict:
    """An answer of the viewer; after the first question it is busy reading the data set."""
    for _ in range(60):
        answer = httpx.get(f"{VIEWER}/{what}", params=where | more, timeout=120)
        if answer.status_code != 503:
            break
        time.sleep(1)
    return answer.raise_for_status().json()


print("rows:", viewed("rows", offset=2, length=1)["rows"][0]["row"] == data["train"][2])
print("search:", viewed("search", query="wonderful")["num_rows_total"])
labels = next(one for one in viewed("statistics")["statistics"] if one["column_name"] == "label")
print("statistics:", labels["column_statistics"]["frequencies"])
print("viewer:", "wonderful" in pages.get(f"/datasets/{full_id}/viewer/default/train", search="wonderful"))
