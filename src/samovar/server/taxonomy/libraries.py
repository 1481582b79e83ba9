"""Libraries and frameworks that models and data sets are for."""

from __future__ import annotations

LIBRARIES: dict[str, str] = {
    "adapter-transformers": "Adapters", "allennlp": "allenNLP", "asteroid": "Asteroid", "bertopic": "BERTopic",
    "bm25s": "BM25S", "coreml": "Core ML", "diffusers": "Diffusers", "espnet": "ESPnet", "fairseq": "Fairseq",
    "fastai": "fastai", "fasttext": "fastText", "flair": "Flair", "gguf": "GGUF", "gliner": "GLiNER", "jax": "JAX",
    "joblib": "Joblib", "keras": "Keras", "keras-hub": "KerasHub", "llamafile": "llamafile", "mlx": "MLX",
    "model2vec": "Model2Vec", "nemo": "NeMo", "onnx": "ONNX", "open_clip": "OpenCLIP", "openvino": "OpenVINO",
    "paddlenlp": "paddlenlp", "peft": "PEFT", "pyannote-audio": "pyannote.audio", "pytorch": "PyTorch",
    "rust": "Rust", "safetensors": "Safetensors", "samovar": "Samovar", "sample-factory": "sample-factory",
    "sentence-transformers": "sentence-transformers", "setfit": "setfit", "sklearn": "Scikit-learn", "spacy": "spaCy",
    "span-marker": "SpanMarker", "speechbrain": "speechbrain", "stable-baselines3": "stable-baselines3",
    "stanza": "Stanza", "static-embeddings": "Static embeddings", "tf": "TensorFlow", "tf-keras": "TF-Keras",
    "tflite": "TF Lite", "timm": "timm", "transformers": "Transformers", "transformers.js": "Transformers.js",
    "unity-sentis": "unity-sentis", "ultralytics": "ultralytics", "vllm": "vLLM", "xgboost": "XGBoost",
    # Of data sets.
    "datasets": "Datasets", "pandas": "pandas", "polars": "Polars", "dask": "Dask", "mlcroissant": "Croissant",
    "webdataset": "WebDataset", "argilla": "Argilla", "fiftyone": "FiftyOne", "distilabel": "Distilabel",
}  # fmt: skip
"""Id → name as people write it."""
OF_DATASETS = frozenset(
    {"datasets", "pandas", "polars", "dask", "mlcroissant", "webdataset", "argilla", "fiftyone", "distilabel"}
)
