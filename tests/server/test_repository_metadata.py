"""What a repository's files say ends up in its row; files that are broken or hostile end up as warnings."""

from __future__ import annotations

import json
import struct
import threading
from datetime import timedelta

import pytest
import torch
from bare_hub import BareHub
from safetensors.torch import save
from sqlalchemy import update

from assets import minilm_folder
from samovar.server.db.tables import PendingRefresh
from samovar.server.db.tables.base import now
from samovar.server.services.metadata.yaml import MOST_NODES, UnreadableYamlError, read_yaml
from samovar.server.services.refresh import refresh, refresh_pending
from samovar.server.services.repositories import announce, pending


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return BareHub(tmp_path_factory.mktemp("metadata"))


@pytest.fixture(scope="module")
def ann(bare):
    return bare.user("ann")


def card(yaml: str, text: str = "Text.") -> bytes:
    return f"---\n{yaml}\n---\n\n{text}\n".encode()


def config(**values) -> bytes:
    return json.dumps(values).encode()


@pytest.mark.slow
def test_a_real_checkpoint(bare, ann):
    folder = minilm_folder()
    number = bare.repository(ann, "minilm")
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files["model.safetensors"] = bare.large_file(number, files["model.safetensors"])
    sha = bare.commit(number, files)
    row, content = bare.row(number), bare.content(number)
    assert (row.sha, row.library_name, row.pipeline_tag) == (sha, "sentence-transformers", "sentence-similarity")
    assert row.architecture == "BertModel"
    assert {"safetensors", "pytorch", "bert", "en", "license:apache-2.0", "dataset:ms_marco", "region:us"} <= set(
        row.tags
    )
    assert "arxiv:1904.06472" in row.tags
    from safetensors import safe_open

    with safe_open(folder / "model.safetensors", "pt") as file:
        counts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
        total = sum(torch.Size(one.get_shape()).numel() for one in counts.values())
    assert row.parameters == content.safetensors["total"] == total
    assert sum(content.safetensors["parameters"].values()) == total
    assert content.config["tokenizer_config"]["mask_token"] == "[MASK]"
    weights = next(file for file in content.files if file[0] == "model.safetensors")
    assert weights[1] == (folder / "model.safetensors").stat().st_size
    assert weights[3] is not None
    assert content.warnings == []
    assert content.card_text.lstrip().startswith("# all-MiniLM-L6-v2")
    assert row.used_storage == sum(file[1] for file in content.files)


@pytest.mark.parametrize(("architecture", "model_type", "task"), [
    ("BertForSequenceClassification", "bert", "text-classification"),
    ("RobertaForMaskedLM", "roberta", "fill-mask"),
    ("LlamaForCausalLM", "llama", "text-generation"),
    ("GPT2LMHeadModel", "gpt2", "text-generation"),
    ("T5ForConditionalGeneration", "t5", "text2text-generation"),
    ("WhisperForConditionalGeneration", "whisper", "automatic-speech-recognition"),
    ("MarianMTModel", "marian", "translation"),
    ("ViTForImageClassification", "vit", "image-classification"),
    ("TapasForQuestionAnswering", "tapas", "question-answering"),
    ("BertModel", "bert", "feature-extraction"),
])  # fmt: skip
def test_the_task_is_in_the_architectures_name(bare, ann, architecture, model_type, task):
    labels = {"0": "no", "1": "yes"}
    number = bare.repository(
        ann, f"task-{architecture}",
        {"config.json": config(architectures=[architecture], model_type=model_type, id2label=labels)},
    )  # fmt: skip
    row = bare.row(number)
    assert (row.pipeline_tag, row.architecture, row.library_name) == (task, architecture, "transformers")
    assert row.labels == 2
    assert {task, model_type, "transformers"} <= set(row.tags)
    assert bare.content(number).config["id2label"] == labels


def test_the_card_wins_over_what_is_guessed(bare, ann):
    number = bare.repository(ann, "card-wins", {
        "config.json": config(architectures=["BertForMaskedLM"], model_type="bert"),
        "README.md": card(
            "pipeline_tag: token-classification\nlibrary_name: flair\nlanguage: [DE, fr]\nlicense: MIT\n"
            "base_model: org/base\nbase_model_relation: quantized\ndatasets: conll\ntags: [ner, x]"
        ),
        "pytorch_model.bin": b"x", "tf_model.h5": b"x", "flax_model.msgpack": b"x", "onnx/model.onnx": b"x",
    })  # fmt: skip
    row = bare.row(number)
    assert (row.pipeline_tag, row.library_name) == ("token-classification", "flair")
    assert {
        "flair", "de", "fr", "license:mit", "base_model:org/base", "base_model:quantized:org/base", "dataset:conll",
        "ner", "x", "pytorch", "tf", "jax", "onnx",
    } <= set(row.tags)  # fmt: skip


@pytest.mark.parametrize(("files", "library"), [
    ({"adapter_config.json": b"{}"}, "peft"),
    ({"model_index.json": b"{}", "unet/config.json": b"{}"}, "diffusers"),
    ({"config.json": b'{"architecture": "resnet50", "pretrained_cfg": {}}'}, "timm"),
    ({"model-q4.gguf": b"GGUF"}, "gguf"),
    ({"config.json": b'{"model_type": "bert", "samovar_version": "1"}'}, "samovar"),
    ({"notes.txt": b"x"}, None),
])  # fmt: skip
def test_the_library_is_in_the_files(bare, ann, files, library):
    number = bare.repository(ann, f"library-{library}", files)
    assert bare.row(number).library_name == library


def test_shards_are_added_up(bare, ann):
    number = bare.repository(ann, "shards")
    first, second = save({"a": torch.zeros(3, 5)}), save({"b": torch.zeros(7, dtype=torch.float16)})
    index = config(metadata={}, weight_map={"a": "model-1.safetensors", "b": "model-2.safetensors"})
    bare.commit(number, {
        "model.safetensors.index.json": index, "model-1.safetensors": bare.large_file(number, first),
        "model-2.safetensors": second,
    })  # fmt: skip
    assert bare.content(number).safetensors == {"parameters": {"F32": 15, "F16": 7}, "total": 22}
    bare.commit(number, {"model.safetensors.index.json": index, "model-1.safetensors": first})
    assert bare.row(number).parameters is None
    assert "model-2.safetensors" in bare.content(number).warnings[0]


def header(value: object) -> bytes:
    text = json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.slow
@pytest.mark.parametrize("forged", [
    b"", b"\0", struct.pack("<Q", 2**63), struct.pack("<Q", 2**64 - 1) + b"{}", struct.pack("<Q", 1000) + b"{}",
    struct.pack("<Q", 2) + b"[]", struct.pack("<Q", 2) + b"{]", struct.pack("<Q", 0), b"\x80\x02cos\nsystem\n",
    struct.pack("<Q", 10_000) + b"[" * 10_000, header({"a": 1}), header({"a": {"dtype": "F32"}}),
    header({"a": {"dtype": "F32", "shape": [-1]}}), header({"a": {"dtype": "F32", "shape": [True]}}),
    header({"a": {"dtype": "F32", "shape": [2**60, 2**60]}}), header({"a": {"dtype": ["F32"], "shape": [1]}}),
    header({"a": {"dtype": "F32", "shape": [1e3]}}), header({"a": {"dtype": "F32", "shape": [2**47] * 16}}),
    header({"a": {"dtype": "F32" * 1000, "shape": [1]}}),
], ids=range(19))  # fmt: skip
def test_forged_headers_are_warnings(bare, ann, forged):
    number = bare.repository(ann, f"forged-{abs(hash(forged))}", {"model.safetensors": forged, "README.md": b"Hello"})
    row, content = bare.row(number), bare.content(number)
    assert row.parameters is None
    assert content.safetensors == {}
    assert content.card_text == "Hello"
    assert len(content.warnings) == 1
    assert "model.safetensors" in content.warnings[0]


@pytest.mark.parametrize("broken", [b"{", b"[]", b"null", b'{"a": 1', b"\xff\xfe", b"[" * 100_000, b'"x"', b""])
def test_broken_configurations_are_warnings(bare, ann, broken):
    number = bare.repository(
        ann, f"broken-{abs(hash(broken))}", {"config.json": broken, "README.md": card("license: mit")}
    )
    assert "config.json" in bare.content(number).warnings[0]
    assert "license:mit" in bare.row(number).tags


@pytest.mark.parametrize("odd", [
    {"architectures": "Bert"}, {"architectures": [7]}, {"architectures": []}, {"model_type": ["x"]},
    {"id2label": ["a"]}, {"id2label": {}}, {"num_labels": -4}, {"num_labels": 2**70}, {"model_type": "x" * 5000},
    {"auto_map": {"AutoModel": "m.py" * 100_000}}, {"architectures": ["A" * 5000]}, {"model_type": "\ud800\0"},
], ids=range(12))  # fmt: skip
def test_odd_configurations_do_no_harm(bare, ann, odd):
    number = bare.repository(ann, f"odd-{abs(hash(str(odd)))}", {"config.json": config(**odd)})
    row = bare.row(number)
    assert row.sha == str(bare.hub.folders.open(number).references["refs/heads/main"].target)
    assert all(len(tag) <= 250 for tag in row.tags)


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("hostile", [
    LAUGHS, "a: &a [*a]", "? &a {a: *a}\n: 2", "a: &a [1]\nb: &a [*a]\nc: *a", "[" * 200_000, "{" * 200_000,
    "? " * 100_000, "- " * 100_000, "a: !!python/object/apply:os.system [id]", "a: !!python/name:os.system",
    "? [1]\n: 2", "a: 2021-02-31", "a: " + "1" * 6000, "a: *b", "a: !!timestamp 9", "- 1", "a: !!binary zzz", "7",
    "a: b: c", "a: " + "[1]," * 150_000, "\x00", "a: [" + "1," * (MOST_NODES + 1) + "]",
], ids=range(22))  # fmt: skip
def test_yaml_that_is_not_read(hostile):
    with pytest.raises(UnreadableYamlError, match="card's YAML"):
        read_yaml(hostile)


def test_yaml_that_is_read():
    assert read_yaml("a: &x [1, 2]\nb: *x\nc: {d: &y {e: 1}}\nf:\n  <<: *y") == {
        "a": [1, 2], "b": [1, 2], "c": {"d": {"e": 1}}, "f": {"e": 1},
    }  # fmt: skip
    assert read_yaml("") == {}
    assert read_yaml("a: 2021-02-03\nb: .inf\nc: !!set {x}\n1: true") == {
        "a": "2021-02-03", "b": "inf", "c": ["x"], "1": True,
    }  # fmt: skip


def test_a_broken_card_is_a_warning(bare, ann):
    number = bare.repository(
        ann, "broken-card", {"README.md": card(LAUGHS, "# Still here"), "config.json": config(model_type="bert")}
    )
    content = bare.content(number)
    assert content.card == {}
    assert content.card_text.strip() == "# Still here"
    assert len(content.warnings) == 1
    assert bare.row(number).library_name == "transformers"


def test_a_data_set(bare, ann):
    info = (
        "dataset_info:\n  features:\n  - {name: text, dtype: string}\n  splits:\n  - {name: train, num_examples: 25000}"
    )
    number = bare.repository(ann, "films", {
        "README.md": card(f"language: [en, de]\nlicense: cc-by-4.0\ntask_categories: [text-classification]\n{info}"),
        "data/train.parquet": b"PAR1", "images/1.png": b"x",
    }, type_="dataset")  # fmt: skip
    assert {
        "language:en", "language:de", "license:cc-by-4.0", "task_categories:text-classification", "format:parquet",
        "size_categories:10K<n<100K", "modality:text", "modality:image", "library:datasets", "region:us",
    } <= set(bare.row(number).tags)  # fmt: skip


def test_a_space(bare, ann):
    number = bare.repository(
        ann, "demo", {"README.md": card("sdk: gradio\nmodels: [ann/minilm]\ndatasets: [ann/films]")}, type_="space"
    )
    row = bare.row(number)
    assert row.sdk == "gradio"
    assert {"gradio", "model:ann/minilm", "dataset:ann/films"} <= set(row.tags)


def test_a_pointer_to_what_was_never_brought_is_a_text(bare, ann):
    secret = save({"secret": torch.zeros(11)})
    owner = bare.repository(ann, "has-it")
    pointer = bare.large_file(owner, secret)
    thief = bare.repository(ann, "has-it-not", {"model.safetensors": pointer})
    assert bare.row(thief).parameters is None
    [file] = bare.content(thief).files
    assert file[1:] == [len(pointer), file[2], None, None]
    bare.commit(owner, {"model.safetensors": pointer})
    assert bare.row(owner).parameters == 11


def test_of_refreshes_at_once_the_newest_state_stays(bare, ann):
    number = bare.repository(ann, "race")
    shas = []

    def work(start: int) -> None:
        for step in range(start, 40, 4):
            with lock:
                shas.append(bare.commit(number, {"README.md": card(f"license: l{step}")}, read=False))
            refresh(bare.hub, number)

    lock = threading.Lock()
    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    head = str(bare.hub.folders.open(number).references["refs/heads/main"].target)
    assert head == shas[-1]
    row = bare.row(number)
    assert row.sha == head
    assert [tag for tag in row.tags if tag.startswith("license:")] == [
        f"license:{bare.content(number).card['license']}"
    ]


def test_what_was_announced_and_never_read_is_read_later(bare, ann):
    number = bare.repository(ann, "left-unread")
    with bare.hub.database.write() as session:
        announce(session, number)
    sha = bare.commit(number, {"README.md": card("license: mit")}, read=False)
    assert bare.row(number).sha != sha
    assert number in refresh_pending(bare.hub)
    assert bare.row(number).sha == sha
    with bare.hub.database.write() as session:
        # Too young: it may be another process's, whose references move in a moment.
        assert [one.repository_id for one in pending(session)] == [number]
        session.execute(update(PendingRefresh).values(since=now() - timedelta(hours=1)))
    assert number in refresh_pending(bare.hub)
    with bare.hub.database.read() as session:
        assert pending(session) == []
