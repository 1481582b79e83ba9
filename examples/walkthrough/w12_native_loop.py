"""A loop of one's own: a data set from the Hub, a loader, an optimiser, a schedule, and the model's own loss."""

import torch
from datasets import load_dataset
from torch.utils.data import DataLoader

from samovar import AutoModelForSequenceClassification, AutoTokenizer, get_scheduler

model_id = "bert-base-cased"
tokenizer = AutoTokenizer.from_pretrained(model_id)
data = load_dataset("cornell-movie-review-data/rotten_tomatoes", split="train").select(range(16))
data = data.map(
    lambda rows: tokenizer(rows["text"], padding="max_length", truncation=True, max_length=48), batched=True
)
data = data.remove_columns(["text"]).rename_column("label", "labels")
data.set_format("torch")
loader = DataLoader(data, shuffle=True, batch_size=4, generator=torch.Generator().manual_seed(0))

model = AutoModelForSequenceClassification.from_pretrained(model_id, num_labels=2)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5)
epochs = 5
num_training_steps = epochs * len(loader)
lr_scheduler = get_scheduler("linear", optimizer=optimizer, num_warmup_steps=0, num_training_steps=num_training_steps)
losses = []
model.train()
for _ in range(epochs):
    for batch in loader:
        outputs = model(**batch)
        loss = outputs.loss
        loss.backward()
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad()
        losses.append(loss.item())
print("loss:", round(sum(losses[:3]) / 3, 3), "→", round(sum(losses[-3:]) / 3, 3))
print("rate:", lr_scheduler.get_last_lr())
