"""Text while it is written, stopped whenever the reader has had enough.

python examples/streaming_text.py [FOLDER or owner/name of a language model] [PROMPT]

Without a model, a tiny one is taught one sentence first, which takes a few seconds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from samovar import AutoModelForCausalLM, AutoTokenizer, GPT2Config, pipeline

SENTENCE = "a samovar boils water for tea, and tea is what we drink when it snows."


def taught(folder: str) -> Any:
    """A pipeline whose model knows one sentence, on the tokenizer of this folder."""
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=64)
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = tokenizer(SENTENCE, add_special_tokens=False, return_tensors="pt")["input_ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return pipeline("text-generation", model=model, tokenizer=tokenizer, add_special_tokens=False, do_sample=False)


def main(write: Any, prompt: str) -> None:
    """Print pieces as they come; then leave a second answer after its first words."""
    for piece in write(prompt, stream=True, max_new_tokens=14):
        print(piece, end="", flush=True)
    print()
    with write(prompt, stream=True, max_new_tokens=40) as pieces:
        print("first words:", next(pieces).strip())


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else "~/.cache/samovar/assets/all-MiniLM-L6-v2"
    folder = Path(given).expanduser()
    encoder = folder.name == "all-MiniLM-L6-v2"
    writer = taught(str(folder)) if encoder else pipeline("text-generation", model=given)
    main(writer, sys.argv[2] if len(sys.argv) > 2 else "a samovar")
