"""All scores: every label of every text, the likeliest first."""

from samovar import pipeline

clf = pipeline(task="sentiment-analysis", model="SkolkovoInstitute/russian_toxicity_classifier")
for scores in clf(["я тебя люблю", "я тебя ненавижу"], top_k=None):
    print([one["label"] for one in scores], round(sum(one["score"] for one in scores), 6))
