"""Question answering, with a tokenizer that another model brings: by its name, or as an object."""

from samovar import AutoTokenizer, pipeline

qa_id = "deepset/bert-base-cased-squad2"
question, context = "Where does the samovar stand?", "The samovar stands on the table."
qa = pipeline(task="question-answering", model=qa_id, tokenizer="bert-base-cased")
answer = qa(question=question, context=context)
print(answer)
print("as written:", context[answer["start"] : answer["end"]])

tokenizer = AutoTokenizer.from_pretrained("bert-base-cased")
same = pipeline(task="question-answering", model=qa_id, tokenizer=tokenizer)
print("the same:", same(question=question, context=context) == answer)
