"""Metric: computed at once, or fed batch by batch; without a network."""

from samovar import evaluate

metric = evaluate.load("f1")
predictions, references = [0, 1, 1, 0, 1, 1], [0, 1, 0, 0, 1, 0]
print(metric.compute(predictions=predictions, references=references))
for start in range(0, len(predictions), 2):
    metric.add_batch(predictions=predictions[start : start + 2], references=references[start : start + 2])
print(metric.compute())
