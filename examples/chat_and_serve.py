"""A chat by the checkpoint's template, streamed; then many requests at once, each admitted and let go by the step.

python examples/chat_and_serve.py [FOLDER or owner/name of a chat model]

Without a model, a tiny one is taught two answers first, which takes some seconds.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from taught import teach, words_of

from samovar import AutoModelForCausalLM, AutoTokenizer, GPT2Config, pipeline

TEMPLATE = "{% for m in messages %}{{ m.role }} : {{ m.content }} {% endfor %}assistant : "
TALKS = {
    "where is the tea ?": "in the samovar , which stands on the table .",
    "где чай ?": "в самоваре .",
    "who drank it ?": "nobody .",
}


def taught() -> tuple[Any, Any]:
    """A model that knows three answers, and its tokenizer."""
    torch.manual_seed(0)
    prompts = [f"user : {question} assistant : " for question in TALKS]
    tokenizer = words_of(*(prompt + answer for prompt, answer in zip(prompts, TALKS.values(), strict=True)))
    tokenizer.chat_template, tokenizer.eos_token = TEMPLATE, "[SEP]"
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=2, eos_token_id=3,
        pad_token_id=0,
    )  # fmt: skip
    batch = tokenizer([p + a + " [SEP]" for p, a in zip(prompts, TALKS.values(), strict=True)], padding=True)
    ids, mask = torch.tensor(batch["input_ids"]), torch.tensor(batch["attention_mask"])
    model = AutoModelForCausalLM.from_config(config)
    return teach(model, 150, input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100)), tokenizer


def main(model: Any, tokenizer: Any) -> None:
    """One answer in pieces, then all of them in the order in which they are ready."""
    talk = pipeline("text-generation", model=model, tokenizer=tokenizer, do_sample=False, max_new_tokens=20)
    first, *_ = questions = list(TALKS)
    print(f"{first}  →  ", end="")
    for piece in talk([{"role": "user", "content": first}], stream=True):
        print(piece, end="", flush=True)
    print()
    prompts = [
        tokenizer.apply_chat_template([{"role": "user", "content": one}], add_generation_prompt=True)["input_ids"]
        for one in questions
    ]
    with model.continuous_batching_context_manager() as manager:
        names = dict(zip(manager.add_requests(prompts, max_new_tokens=20), questions, strict=True))
        for _ in names:
            answer = manager.get_result(timeout=60)
            written = tokenizer.decode(answer.generated_tokens, skip_special_tokens=True)
            print(f"{len(answer.generated_tokens):2} tokens  {names[answer.request_id]}  →  {written}")


if __name__ == "__main__":
    given = sys.argv[1:]
    if given:
        main(AutoModelForCausalLM.from_pretrained(given[0]), AutoTokenizer.from_pretrained(given[0]))
    else:
        main(*taught())
