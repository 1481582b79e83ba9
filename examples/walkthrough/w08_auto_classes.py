"""Auto classes take the architecture from `config.json`; named ones begin from nothing."""

from samovar import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    GPT2Tokenizer,
)

clf_id = "SkolkovoInstitute/russian_toxicity_classifier"
model = AutoModelForSequenceClassification.from_pretrained(clf_id)
tokenizer = AutoTokenizer.from_pretrained(clf_id)
print(type(AutoConfig.from_pretrained(clf_id)).__name__, type(model).__name__, type(tokenizer).__name__)
small = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
fresh = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), num_labels=3, **small))
print(fresh(**tokenizer("чай готов", return_tensors="pt")).logits.shape)
print(GPT2Tokenizer.from_pretrained("gpt2").tokenize("a pot of tea"))
