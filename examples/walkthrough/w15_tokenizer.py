"""Tokenizers of three kinds: word pieces, byte pairs, and SentencePiece (unigrams, and its own byte pairs)."""

from samovar import AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("bert-base-cased")
print(tokenizer.tokenize("the samovars boiled"))
print(list(tokenizer("the samovar")))
batch = tokenizer(["the samovar", "a pot of tea in Moscow"], padding=True, truncation=True, max_length=512)
print([len(ids) for ids in batch["input_ids"]], batch["attention_mask"][0])
print(tokenizer("the samovar", "a pot")["token_type_ids"])

for name in ("gpt2", "t5-small", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"):
    other = AutoTokenizer.from_pretrained(name)
    ids = other("a pot of tea", truncation=True, max_length=512)["input_ids"]
    print(type(other).__name__, other.tokenize("a pot of tea")[:2], repr(other.decode(ids, skip_special_tokens=True)))
