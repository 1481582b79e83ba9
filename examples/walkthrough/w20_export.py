"""Export: the same model for ONNX Runtime and as TorchScript, run there, and compared with the one here."""

import sys
import tempfile
from pathlib import Path

import torch

from samovar import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from samovar.export import export_model
from samovar.runtime import OnnxModel

clf_id = "SkolkovoInstitute/russian_toxicity_classifier"
folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
texts = ["я тебя люблю", "я тебя ненавижу, и чай не готов"]
tokenizer = AutoTokenizer.from_pretrained(clf_id)
inputs = tokenizer(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    logits = AutoModelForSequenceClassification.from_pretrained(clf_id)(**inputs).logits

exported = export_model(clf_id, "onnx", folder / "onnx")
onnx = OnnxModel.from_pretrained(folder / "onnx")
print(
    f"ONNX: {(onnx(**inputs).logits - logits).abs().max():.1e} here, at most {exported.largest:.1e} when it was checked"
)
clf = pipeline("sentiment-analysis", model=onnx, tokenizer=tokenizer)
print("in a pipeline:", *(one["label"] for one in clf(texts)))

exported = export_model(clf_id, "torchscript", folder / "torchscript")
[file] = (folder / "torchscript").glob("*.pt")
logits_there, *_ = torch.jit.load(file)(*(inputs[one.name] for one in exported.parts[0].inputs))
print(
    f"TorchScript: {(logits_there - logits).abs().max():.1e} here, at most {exported.largest:.1e} when it was checked"
)
