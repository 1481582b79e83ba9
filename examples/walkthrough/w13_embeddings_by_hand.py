"""Embeddings by hand: the encoder's states, their mean over the real tokens; and W14, the same in one call."""

import numpy as np
import torch

from samovar import AutoModel, AutoTokenizer, SentenceTransformer

encoder_id = "sentence-transformers/all-MiniLM-L6-v2"
sentences = ["A samovar boils.", "Water is hot.", "The court rejected the appeal."]
tokenizer = AutoTokenizer.from_pretrained(encoder_id)
model = AutoModel.from_pretrained(encoder_id)
encoded = tokenizer(sentences, padding=True, truncation=True, max_length=128, return_tensors="pt")
with torch.no_grad():
    model_output = model(**encoded)
token_embeddings = model_output[0]
mask = encoded["attention_mask"].unsqueeze(-1).expand(token_embeddings.size()).float()
by_hand = torch.nn.functional.normalize((token_embeddings * mask).sum(1) / mask.sum(1).clamp(min=1e-9), dim=1).numpy()
print("by hand:", by_hand.shape)

embeddings = SentenceTransformer(encoder_id).encode(sentences)
print("encode:", embeddings.shape, embeddings.dtype)
print("largest difference:", float(np.abs(by_hand - embeddings).max()))
print("alike:", bool(embeddings[0] @ embeddings[1] > embeddings[0] @ embeddings[2]))
