"""Pipelines and sentence embeddings on exported graphs give the answers of the PyTorch model, also on real texts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from toys import EVERYTHING, randomised

import samovar
from samovar import SentenceTransformer, pipeline
from samovar.errors import InputError, MissingExtraError, TaskError
from samovar.export import export_model
from samovar.pipelines.text_generation import TextGenerationPipeline
from samovar.runtime import OnnxModel

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))

import tiny_checkpoints as tiny

import assets

pytestmark = pytest.mark.slow
Twins = Callable[..., tuple[str, str]]
LONG = "the cat likes the dog and the dog likes paris " * 3
TEXTS = [*tiny.TEXTS, LONG]
QUESTIONS = [{"question": "who likes the dog?", "context": text} for text in TEXTS if text]
CHOICES = [{"question": "the cat sat on", "choices": ["the mat", "a film and the dog in the mat"]}] * 2
SOURCE = {"source_sentence": "good film", "sentences": ["a good film", "the dog", "anna likes moscow and paris"]}
GREEDY = {"do_sample": False}
TABLE = {"town": ["tula", "omsk", "perm"], "year": ["11", "17", "23"]}
# Task → family and class of its checkpoint, settings, inputs, options of calls.
TASKS: dict[str, tuple[str, str, dict[str, Any], Any, dict[str, Any]]] = {
    "text-classification": ("bert", "BertForSequenceClassification", tiny.labels("entailment", "neutral", "contrary"),
                            TEXTS, {"top_k": None}),
    "zero-shot-classification": ("bert", "BertForSequenceClassification",
                                 tiny.labels("entailment", "neutral", "contrary"), [text for text in TEXTS if text],
                                 {"candidate_labels": ["film", "dog", "work in paris"], "multi_label": True}),
    "token-classification": ("bert", "BertForTokenClassification", tiny.labels(*tiny.TAGS), TEXTS,
                             {"aggregation_strategy": "simple"}),
    "question-answering": ("bert", "BertForQuestionAnswering", {}, QUESTIONS, {"top_k": 3}),
    "multiple-choice": ("bert", "BertForMultipleChoice", {}, CHOICES, {}),
    "sentence-similarity": ("bert", "BertModel", {}, [SOURCE], {}),
    "feature-extraction": ("bert", "BertModel", {}, TEXTS, {}),
    "fill-mask": ("roberta", "RobertaForMaskedLM", {}, ["the <mask> sat", "a <mask> film in <mask>", LONG + "<mask>"],
                  {"top_k": 4}),
    "text-generation": ("gpt2", "GPT2LMHeadModel", {}, [text for text in TEXTS[:6] if text],
                        GREEDY | {"max_new_tokens": 6}),
    "image-classification": ("vit", "ViTForImageClassification", tiny.labels("a", "b", "c"), [], {}),
}  # fmt: skip
# Writing a graph takes seconds: `make test-exports` takes all.
MEASURED = (
    TASKS if EVERYTHING else ["text-classification", "feature-extraction", "text-generation", "image-classification"]
)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """`twins(family, class, **settings)` → a checkpoint's folder and that of its export, each made once."""
    made: dict[str, tuple[str, str]] = {}

    def twins_once(family: str, head: str, **settings: Any) -> tuple[str, str]:
        key = f"{family} {head} {settings}"
        if key not in made:
            folder = tmp_path_factory.mktemp(head)
            tiny.SAVERS[family](folder, head, **settings)
            export_model(folder, "onnx", folder / "onnx")
            made[key] = str(folder), str(folder / "onnx")
        return made[key]

    return twins_once


def alike(ours: Any, theirs: Any) -> None:
    """The same answers: words, places and orders equal, numbers to 1e-4."""
    assert tiny.same(tiny.plain(ours), tiny.plain(theirs)), (ours, theirs)


@pytest.mark.parametrize("task", MEASURED)
def test_answers_are_those_of_the_pytorch_model(task: str, twins: Twins) -> None:
    family, head, settings, inputs, options = TASKS[task]
    folder, exported = twins(family, head, **settings)
    theirs, ours = pipeline(task, folder, device="cpu"), pipeline(task, exported)
    assert type(ours) is type(theirs)
    assert not any(path.suffix == ".safetensors" for path in Path(exported).iterdir())
    if task == "image-classification":
        inputs = [Image.fromarray(np.full((40, 30, 3), value, np.uint8)) for value in (0, 90, 200)]
    elif task != "sentence-similarity":
        assert isinstance(ours.model, OnnxModel)
        assert pipeline(model=exported).task in (task, "text-classification")
    alike(ours(inputs, **options), theirs(inputs, **options))
    alike(ours(inputs[0], **options), theirs(inputs[0], **options))
    alike(list(ours(iter(inputs), batch_size=2, **options)), list(theirs(iter(inputs), batch_size=2, **options)))


def test_texts_are_written_alike_however_they_are_chosen(twins: Twins, tmp_path: Path) -> None:
    folder, exported = twins("gpt2", "GPT2LMHeadModel")
    theirs, ours = pipeline("text-generation", folder, device="cpu"), pipeline("text-generation", exported)
    assert isinstance(ours, TextGenerationPipeline)
    texts = [text for text in TEXTS[:6] if text]
    several = {"num_return_sequences": 2, "do_sample": True, "seed": 1}
    ruled = {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2}
    for options in ({"num_beams": 3}, {"do_sample": True, "seed": 5, "top_k": 20}, several, ruled):
        options = {"max_new_tokens": 8} | GREEDY | options
        found = ours(texts, **options)
        assert found == theirs(texts, **options), options
        assert found[1] == ours(texts[1], **options)
    brief = {"max_new_tokens": 5, **GREEDY}
    expected = theirs(texts, **brief)
    assert "".join(ours(texts[0], stream=True, **brief)) == "".join(theirs(texts[0], stream=True, **brief))
    with pytest.raises(InputError, match="Continuous batching needs the PyTorch model"):
        ours.model.generate_batch([[1, 2]])
    # Exported without a past, every step reads all; rows of other lengths then run without their padding.
    export_model(folder, "onnx", tmp_path / "whole", with_past=False)
    assert pipeline("text-generation", str(tmp_path / "whole"))(texts, **brief) == expected
    ours.save_pretrained(tmp_path / "again")
    assert pipeline(model=str(tmp_path / "again"))(texts, **brief) == expected


def test_a_text_for_a_text(tmp_path: Path) -> None:
    tokenizer = tiny.save_byte_pairs(tmp_path / "bart", "roberta")
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "pad_token_id", "eos_token_id")}
    sizes = {"d_model": 32, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "max_position_embeddings": 64}
    for part in ("encoder", "decoder"):
        sizes |= {f"{part}_layers": 2, f"{part}_attention_heads": 4}
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), decoder_start_token_id=ids["eos_token_id"], forced_eos_token_id=None, **sizes, **ids
    )
    tiny.lively(transformers.BartForConditionalGeneration(config)).save_pretrained(tmp_path / "bart")
    export_model(tmp_path / "bart", "onnx", tmp_path / "onnx")
    texts = [text for text in TEXTS if text]
    for task in ("text2text-generation", "summarization", "translation"):
        theirs, ours = pipeline(task, tmp_path / "bart", device="cpu"), pipeline(task, tmp_path / "onnx")
        for options in ({}, {"num_beams": 3}, {"do_sample": True, "seed": 4}):
            options |= {"max_new_tokens": 7}
            assert ours(texts, **options) == theirs(texts, **options), options
    assert pipeline(model=str(tmp_path / "onnx")).task == "text2text-generation"


def test_questions_on_tables(tmp_path: Path) -> None:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EMPTY]"]
    words = [
        *special,
        "town",
        "year",
        "tula",
        "omsk",
        "perm",
        "which",
        "how",
        "many",
        "is",
        *"1237?",
        "##1",
        "##3",
        "##7",
    ]
    folder = tmp_path / "tapas"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(words))
    samovar.TapasTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = samovar.AutoConfig.for_model(
        "tapas", vocab_size=len(words), max_position_embeddings=64, max_num_rows=8, max_num_columns=4,
        type_vocab_sizes=[3, 8, 8, 2, 8, 8, 10], num_aggregation_labels=4,
        aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"}, **tiny.SIZES,
    )  # fmt: skip
    model = randomised(samovar.AutoModelForTableQuestionAnswering.from_config(config))
    model.save_pretrained(folder)
    export_model(folder, "onnx", tmp_path / "onnx")
    queries = ["how many town?", "which year is tula", "perm"]
    theirs, ours = (pipeline("table-question-answering", tmp_path / name) for name in ("tapas", "onnx"))
    for sequential in (False, True):
        assert ours(TABLE, queries, sequential=sequential) == theirs(TABLE, queries, sequential=sequential)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real MiniLM as a graph, in float32, and in int8 in the folder `int8`."""
    folder = tmp_path_factory.mktemp("minilm")
    export_model(assets.minilm_folder(), "onnx", folder / "f32")
    export_model(assets.minilm_folder(), "onnx", folder / "int8", quantization="int8")
    return folder


def test_real_texts_get_the_same_embeddings(real: Path, tmp_path: Path) -> None:
    texts = [text for _, text in assets.snippets("movies")[:60]] + ["", "A samovar boils. " * 100]
    theirs = SentenceTransformer(str(assets.minilm_folder()), device="cpu")
    expected = theirs.encode(texts)
    ours = SentenceTransformer(str(assets.minilm_folder()), backend="onnx")
    assert isinstance(ours[0].auto_model, OnnxModel)
    assert np.abs(ours.encode(texts) - expected).max() < 1e-5
    ours.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "model.safetensors").exists()
    for folder in (tmp_path / "saved", real / "f32"):
        again = SentenceTransformer(str(folder))
        assert np.abs(again.encode(texts) - expected).max() < 1e-5
        assert (again.max_seq_length, len(again)) == (theirs.max_seq_length, len(theirs))
    features = pipeline("feature-extraction", str(real / "f32"))(texts[:5], return_tensors=True)
    wanted = pipeline("feature-extraction", str(assets.minilm_folder()), device="cpu")(texts[:5], return_tensors=True)
    assert all((one - other).abs().max() < 1e-4 for one, other in zip(features, wanted, strict=True))
    with pytest.raises(InputError, match=r"no backend 'onx'\.\n.*torch, onnx"):
        SentenceTransformer(str(assets.minilm_folder()), backend="onx")


def test_int8_is_a_quarter_as_large_and_ranks_real_texts_alike(real: Path) -> None:
    sizes = [(real / name / "model.onnx").stat().st_size for name in ("f32", "int8")]
    assert sizes[1] < 0.3 * sizes[0]
    texts = [text for _, text in assets.snippets("movies")[:60]]
    plain, rounded = (SentenceTransformer(str(real / name)).encode(texts, normalize_embeddings=True)
                      for name in ("f32", "int8"))  # fmt: skip
    assert (plain * rounded).sum(1).min() > 0.97
    orders = [np.argsort(-(one @ one.T + np.diag([-2.0] * len(one)))) for one in (plain, rounded)]
    assert (orders[0][:, 0] == orders[1][:, 0]).mean() > 0.75
    said = json.loads((real / "int8" / "export.json").read_text())
    assert said["options"] == {"quantization": "int8"}


def test_folders_of_other_exporters(twins: Twins, tmp_path: Path) -> None:
    folder, exported = twins("bert", "BertForTokenClassification", **tiny.labels(*tiny.TAGS))
    there = tmp_path / "theirs"
    shutil.copytree(exported, there)
    (there / "export.json").unlink()
    (there / "onnx").mkdir()
    (there / "model.onnx").rename(there / "onnx" / "model.onnx")
    expected = pipeline("token-classification", folder, device="cpu")(TEXTS)
    alike(pipeline("token-classification", str(there))(TEXTS), expected)
    # Beside weights, a graph runs where it is asked for.
    for name in ("model.safetensors", "config.json"):
        shutil.copy(Path(folder) / name, there / name)
    assert not isinstance(pipeline("token-classification", str(there), device="cpu").model, OnnxModel)
    chosen = {"providers": ["CPUExecutionProvider"], "session_options": {"intra_op_num_threads": 1}}
    both = pipeline("token-classification", str(there), framework="onnx", model_kwargs=chosen)
    assert isinstance(both.model, OnnxModel)
    alike(both(TEXTS), expected)
    # Without a class name nothing says what logits are of.
    config = json.loads((there / "config.json").read_text())
    (there / "config.json").write_text(json.dumps({**config, "architectures": None}))
    with pytest.raises(TaskError, match=r"nothing says what for.*\n.*token-classification"):
        OnnxModel.from_pretrained(there)
    assert OnnxModel.from_pretrained(there, task="token-classification").task == "token-classification"


def test_a_graph_without_a_mask_runs_rows_without_their_padding(twins: Twins, tmp_path: Path) -> None:
    folder, _ = twins("bert", "BertForTokenClassification", **tiny.labels(*tiny.TAGS))
    export_model(folder, "onnx", tmp_path / "onnx", mask=False)
    ours, theirs = pipeline(model=str(tmp_path / "onnx")), pipeline(model=folder, device="cpu")
    assert "attention_mask" not in ours.model.sessions["model"].inputs
    alike(ours(TEXTS), theirs(TEXTS))


def test_what_does_not_fit_is_said(twins: Twins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, exported = twins("bert", "BertForTokenClassification", **tiny.labels(*tiny.TAGS))
    with pytest.raises(TaskError, match="no trained head for 'text-classification'"):
        pipeline("text-classification", exported)
    with pytest.raises(TaskError, match="BertForTokenClassification, which can do 'token-classification'"):
        pipeline("feature-extraction", exported)
    with pytest.raises(InputError, match=r"no 'CUDAExecutionProvider'; it has .*CPUExecutionProvider"):
        OnnxModel.from_pretrained(exported, providers=["CUDAExecutionProvider"])
    with pytest.raises(InputError, match="takes no dtype"):
        pipeline("token-classification", exported, dtype=torch.float16)
    with pytest.raises(InputError, match="not moved to cuda"):
        pipeline("token-classification", exported).model.to("cuda")
    with pytest.raises(InputError, match="cannot be trained"):
        OnnxModel.from_pretrained(exported).train()
    model = OnnxModel.from_pretrained(exported)
    tokenizer = samovar.AutoTokenizer.from_pretrained(exported)
    given = pipeline("token-classification", model, tokenizer=tokenizer)
    alike(given(TEXTS), pipeline("token-classification", exported)(TEXTS))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'samovar\[export\]'"):
        pipeline("token-classification", exported)
