"""Metric pages: every metric is listed and documented, and computes what the visitor types in."""

import re

import pages

from samovar import evaluate

names = set(re.findall(r'href="/metrics/([\w-]+)"', pages.get("/metrics")))
print("listed:", len(names), names >= {"accuracy", "f1", "rouge"})
documented = pages.text(pages.get("/metrics/f1"))
print("documented:", "predictions" in documented, "references" in documented)

predictions, references = [0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0]
computed = pages.submit("/metrics/f1", predictions="0 1 1 0 1 1", references="0 1 0 0 1 0")
ours = evaluate.load("f1").compute(predictions=predictions, references=references)["f1"]
print("computed:", re.findall(r"f1</th><td>([\d.]+)", computed), "here:", ours)
