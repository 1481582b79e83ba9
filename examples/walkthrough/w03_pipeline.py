"""Pipeline: a task, a model's name, a list of texts. The first use downloads; later ones open no socket."""

import sys

from samovar import pipeline

clf_id = "SkolkovoInstitute/russian_toxicity_classifier"
clf = pipeline(task="sentiment-analysis", model=clf_id)
print(clf(["я тебя люблю", "я тебя ненавижу"]))

sockets = []
sys.addaudithook(lambda event, arguments: sockets.append(arguments) if event == "socket.connect" else None)
again = pipeline(task="sentiment-analysis", model=clf_id)
print(again("я тебя ненавижу"))
print("sockets:", len(sockets))
