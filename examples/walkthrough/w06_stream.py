"""Stream: a generator in, a stream out, in order; batches are formed behind the scenes, and never all is in memory."""

from samovar import pipeline

clf = pipeline(task="sentiment-analysis", model="SkolkovoInstitute/russian_toxicity_classifier")
read = 0


def lines():
    """As many lines as somebody cares to read."""
    global read
    while True:
        read += 1
        yield "я тебя люблю" if read % 3 else "я тебя ненавижу"


labels = []
for out in clf(lines()):
    labels.append(out["label"])
    if len(labels) == 300:
        break
print("toxic lines:", [number for number, label in enumerate(labels, 1) if label == "toxic"][:4])
print("read ahead:", read - len(labels))
