"""Code that comes with a repository: pushed, refused, read back at one commit, and kept inside its own package."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi
from machines import Machine

import samovar
from assets import minilm_folder
from samovar.errors import ConfigError, InputError, UnsafeFileError
from samovar.pipelines import PIPELINE_REGISTRY

pytestmark = pytest.mark.slow

Machines = Callable[..., Machine]

MARKS = 'MARK = "{mark}"\n'
SHOUT = '''
"""A pipeline of one's own."""
from samovar import Pipeline

from .marks import MARK


class Shout(Pipeline):
    def _sanitize_parameters(self, mark=MARK, **kwargs):
        return {}, {}, {"mark": mark}

    def preprocess(self, inputs):
        return self.tokenizer(inputs, return_tensors="pt")

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs, mark=MARK):
        return f"{model_outputs['logits'].argmax().item()}{mark}"
'''


def classifier() -> Any:
    torch.manual_seed(0)
    words = samovar.AutoTokenizer.from_pretrained(minilm_folder())
    config = samovar.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.3,
    )  # fmt: skip
    return samovar.BertForSequenceClassification(config).eval(), words


def write_package(folder: Path, name: str, mark: str) -> type:
    """A package with the pipeline's class; the class."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    (folder / name / "marks.py").write_text(MARKS.format(mark=mark))
    (folder / name / "shout.py").write_text(SHOUT)
    sys.path.insert(0, str(folder))
    kind: type = importlib.import_module(f"{name}.shout").Shout
    return kind


def push_shouting(folder: Path, package: str, mark: str, repository: str) -> list[str]:
    """Register the class, use it, push it; the commit and the answers."""
    kind = write_package(folder, package, mark)
    PIPELINE_REGISTRY.register_pipeline(
        "shouting", pipeline_class=kind, pt_model=samovar.AutoModelForSequenceClassification, type="text"
    )
    model, words = classifier()
    pipe = samovar.pipeline("shouting", model=model, tokenizer=words)
    commit = pipe.push_to_hub(repository, private=True)
    assert "custom_pipelines" not in model.config.extra
    return [commit.oid, *pipe(["tea", "coffee and milk"])]


def files_of(repository: str) -> dict[str, str]:
    api = HfApi()
    names = [name for name in api.list_repo_files(repository) if name.endswith((".py", ".json", ".md"))]
    return {name: Path(api.hf_hub_download(repository, name)).read_text("utf-8") for name in names}


def shout(*given: Any, **options: Any) -> list[Any]:
    pipe = samovar.pipeline(*given, **options)
    return [*pipe(["tea", "coffee and milk"]), type(pipe).__module__, sys.modules[type(pipe).__module__].__file__]


def shout_counting(repository: str, **options: Any) -> list[Any]:
    """The error's words, the modules that were loaded and the files that were fetched."""
    try:
        samovar.pipeline("shouting", model=repository, **options)
    except UnsafeFileError as error:
        cached = [path.name for path in Path(options["cache_dir"]).rglob("*.py")]
        return [
            error.cause,
            error.next_step,
            [name for name in sys.modules if name.startswith("samovar_remote")],
            cached,
        ]
    return []


def test_a_pipeline_goes_with_its_code_and_comes_back(machine: Machines, tmp_path: Path) -> None:
    alice = machine("alice")
    commit, *answers = alice(push_shouting, tmp_path, "loud_package", "!", "alice/shouting")
    there = alice(files_of, "alice/shouting")
    assert there["shout.py"] == SHOUT
    assert there["marks.py"] == MARKS.format(mark="!")
    assert json.loads(there["config.json"])["custom_pipelines"] == {
        "shouting": {"impl": "shout.Shout", "pt": ["AutoModelForSequenceClassification"], "type": "text"}
    }
    assert 'pipeline("shouting", model="alice/shouting", trust_remote_code=True)' in there["README.md"]
    # Elsewhere, without trust: file and commit are named, nothing was run, and no code was even fetched.
    other = machine("alice", SAMOVAR_TEST="stranger")
    cause, advice, loaded, cached = other(shout_counting, "alice/shouting", cache_dir=tmp_path / "careful")
    assert cause == f"the pipeline 'shouting' is code of the repository alice/shouting: shout.py of commit {commit}."
    assert f"/alice/shouting/blob/{commit}/shout.py" in advice
    assert f"trust_remote_code=True, code_revision='{commit}'" in advice
    assert loaded == cached == []
    # With trust it runs from the cache, in a package of this repository and commit.
    cache = tmp_path / "trusting"
    *again, module, file = other(shout, model="alice/shouting", trust_remote_code=True, cache_dir=cache)
    assert again == answers
    assert module.split(".")[-2:] == [f"c{commit}", "shout"]
    assert file.startswith(str(cache))
    assert f"/snapshots/{commit}/shout.py" in file
    assert not list(cache.rglob("__pycache__"))


def test_the_code_is_that_of_the_commit_that_was_asked_for(machine: Machines, tmp_path: Path) -> None:
    alice = machine("alice")
    old, *_ = alice(push_shouting, tmp_path / "old", "old_package", "?", "alice/changing")
    new, *_ = alice(push_shouting, tmp_path / "new", "new_package", "…", "alice/changing")
    reader = machine("alice", SAMOVAR_TEST="reader")
    options = {"model": "alice/changing", "trust_remote_code": True, "cache_dir": tmp_path / "cache"}
    newest = reader(shout, **options)
    assert newest[0].endswith("…")
    assert f"c{new}" in newest[2]
    assert reader(shout, **options, revision=old)[0].endswith("?")
    mixed = reader(shout, **options, code_revision=old)
    assert mixed[0].endswith("?")
    assert f"c{old}" in mixed[2]
    # Both are loaded at once, and the first is as it was.
    assert reader(shout, **options)[0].endswith("…")


def push_again(repository: str, target: str, cache: Path) -> dict[str, str]:
    samovar.pipeline(model=repository, trust_remote_code=True, cache_dir=cache).push_to_hub(target)
    return files_of(target)


def test_what_was_read_can_be_pushed_again(machine: Machines, tmp_path: Path) -> None:
    alice = machine("alice")
    alice(push_shouting, tmp_path, "first_package", "!", "alice/first")
    there = machine("alice", SAMOVAR_TEST="again")(push_again, "alice/first", "alice/second", tmp_path / "cache")
    assert {"shout.py", "marks.py"} <= set(there)
    assert "shouting" in json.loads(there["config.json"])["custom_pipelines"]


# Architectures ----------------------------------------------------------------------------------------------------

CONFIGURATION = """
from samovar import BertConfig


class KettleConfig(BertConfig):
    model_type = "kettle"
"""
MODELING = """
from samovar import BertForSequenceClassification

from .configuration_kettle import KettleConfig


class KettleForSequenceClassification(BertForSequenceClassification):
    config_class = KettleConfig
"""
AUTO_MAP = {
    "AutoConfig": "configuration_kettle.KettleConfig",
    "AutoModelForSequenceClassification": "modeling_kettle.KettleForSequenceClassification",
}


def push_kettle(folder: Path, repository: str) -> list[Any]:
    """An architecture that samovar does not know, as a folder and as a repository."""
    model, words = classifier()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, "model_type": "kettle", "auto_map": AUTO_MAP}))
    (folder / "configuration_kettle.py").write_text(CONFIGURATION)
    (folder / "modeling_kettle.py").write_text(MODELING)
    HfApi().create_repo(repository)
    commit = HfApi().upload_folder(repo_id=repository, folder_path=folder)
    return [commit.oid, logits(model)]


def logits(model: Any) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([[101, 7592, 102]])).logits.tolist()


def load_kettle(name: str, **options: Any) -> list[Any]:
    config = samovar.AutoConfig.from_pretrained(name, **options)
    model = samovar.AutoModelForSequenceClassification.from_pretrained(name, **options)
    return [type(config).__name__, type(model).__module__, logits(model)]


def load_config(name: str, **options: Any) -> str:
    return type(samovar.AutoConfig.from_pretrained(name, **options)).__name__


def test_an_architecture_of_a_repository(machine: Machines, tmp_path: Path) -> None:
    commit, expected = machine("alice")(push_kettle, tmp_path / "kettle", "alice/kettle")
    reader = machine("bob")
    with pytest.raises(
        UnsafeFileError, match=rf"configuration_kettle.py of commit {commit}(.|\n)*trust_remote_code=True"
    ):
        reader(load_config, "alice/kettle")
    kind, module, found = reader(load_kettle, "alice/kettle", trust_remote_code=True)
    assert (kind, found) == ("KettleConfig", expected)
    assert module.endswith(f".c{commit}.modeling_kettle")
    with pytest.raises(UnsafeFileError, match="kettle is code of"):
        reader(load_config, str(tmp_path / "kettle"))
    assert reader(load_kettle, str(tmp_path / "kettle"), trust_remote_code=True)[2] == expected


WORDS = """
from samovar import BertTokenizer


class KettleTokenizer(BertTokenizer):
    def tokenize(self, text, **options):
        return [token.upper() for token in super().tokenize(text, **options)]
"""


def own_classes(folder: Path, package: str) -> list[type]:
    """Classes of one's own in a package, registered for the Auto classes."""
    (folder / package).mkdir(parents=True)
    files = {"__init__": "", "configuration_kettle": CONFIGURATION, "modeling_kettle": MODELING, "words_kettle": WORDS}
    for name, text in files.items():
        (folder / package / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    found: list[Any] = [
        importlib.import_module(f"{package}.configuration_kettle").KettleConfig,
        importlib.import_module(f"{package}.modeling_kettle").KettleForSequenceClassification,
        importlib.import_module(f"{package}.words_kettle").KettleTokenizer,
    ]
    for kind, auto in zip(found, ("", samovar.AutoModelForSequenceClassification, "AutoTokenizer"), strict=True):
        kind.register_for_auto_class(*([auto] if auto else []))
    return found


def push_own_classes(folder: Path, repository: str) -> Any:
    config, model, words = own_classes(folder, "own_kettles")
    plain, tokenizer = classifier()
    made = model(config(**{key: value for key, value in plain.config.to_dict().items() if key != "model_type"})).eval()
    made.push_to_hub(repository)
    words(tokenizer_object=tokenizer.rust, **tokenizer.settings).push_to_hub(repository)
    return logits(made)


def load_own_classes(name: str, **options: Any) -> list[Any]:
    words = samovar.AutoTokenizer.from_pretrained(name, **options)
    return [*load_kettle(name, **options), words.tokenize("tea")]


def test_classes_of_ones_own_are_pushed_with_their_code(machine: Machines, tmp_path: Path) -> None:
    expected = machine("alice", SAMOVAR_TEST="owner")(push_own_classes, tmp_path, "alice/own-kettle")
    there = machine("alice")(files_of, "alice/own-kettle")
    assert there["modeling_kettle.py"] == MODELING
    assert {"configuration_kettle.py", "words_kettle.py"} <= set(there)
    assert json.loads(there["config.json"])["auto_map"] == AUTO_MAP
    assert (
        'AutoModelForSequenceClassification.from_pretrained("alice/own-kettle", trust_remote_code=True)'
        in (there["README.md"])
    )
    kind, _, found, tokens = machine("bob")(load_own_classes, "alice/own-kettle", trust_remote_code=True)
    assert (kind, found, tokens) == ("KettleConfig", expected, ["TEA"])


# Tricks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder of an unknown architecture, without code."""
    model, _ = classifier()
    model.config.save_pretrained(tmp_path)
    return tmp_path


def with_auto_map(folder: Path, reference: Any) -> Path:
    values = json.loads((folder / "config.json").read_text())
    text = json.dumps({**values, "model_type": "kettle", "auto_map": {"AutoConfig": reference}})
    (folder / "config.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    "reference",
    ["../evil.Config", "/etc/evil.Config", "a/b.Config", "evil..Config", "evil", ".evil.Config", "C:\\evil.Config",
     "../..--evil.Config", "a/b/c--evil.Config", "--evil.Config", "evil.py.Config()", "", 7, {"a": 1}],
)  # fmt: skip
def test_references_that_are_no_class_are_refused(checkpoint: Path, reference: Any) -> None:
    with pytest.raises(UnsafeFileError, match="names no class"):
        samovar.AutoConfig.from_pretrained(with_auto_map(checkpoint, reference), trust_remote_code=True)


def test_a_folder_is_no_way_out_of_itself(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "escape.py").write_text("from ..outside import Config\n")
    with pytest.raises(ConfigError, match="imports 'outside', which is not in it"):
        samovar.AutoConfig.from_pretrained(with_auto_map(checkpoint, "escape.Config"), trust_remote_code=True)
    (checkpoint / "absent.py").write_text("import no_such_package_of_tea\n")
    with pytest.raises(ConfigError, match=r"needs the package 'no_such_package_of_tea'(.|\n)*pip install"):
        samovar.AutoConfig.from_pretrained(with_auto_map(checkpoint, "absent.Config"), trust_remote_code=True)
    (checkpoint / "other.py").write_text("class Config:\n    pass\n")
    with pytest.raises(ConfigError, match="written for another library"):
        samovar.AutoConfig.from_pretrained(with_auto_map(checkpoint, "other.Config"), trust_remote_code=True)
    with pytest.raises(ConfigError, match="has no class Konfig"):
        samovar.AutoConfig.from_pretrained(with_auto_map(checkpoint, "other.Konfig"), trust_remote_code=True)


def test_changed_code_of_a_folder_is_read_anew(checkpoint: Path) -> None:
    text = "from samovar import BertConfig\n\n\nclass Config(BertConfig):\n    model_type = 'kettle'\n    mark = {}\n"
    found = []
    for number in (1, 2):
        (checkpoint / "changing.py").write_text(text.format(number))
        config = samovar.AutoConfig.from_pretrained(
            with_auto_map(checkpoint, "changing.Config"), trust_remote_code=True
        )
        found.append(config.mark)
    assert found == [1, 2]


def test_an_architecture_that_is_known_here_needs_no_code(tmp_path: Path) -> None:
    model, _ = classifier()
    model.config.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "auto_map": {"AutoConfig": "evil.Config"}}))
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    for trust in (None, True):
        config = samovar.AutoConfig.from_pretrained(tmp_path, trust_remote_code=trust)
        assert type(config) is samovar.BertConfig


def test_code_without_a_file_cannot_be_saved(tmp_path: Path) -> None:
    inside: dict[str, Any] = {"Pipeline": samovar.Pipeline, "__name__": "typed_in"}
    exec("class Typed(Pipeline):\n    pass\n", inside)
    PIPELINE_REGISTRY.register_pipeline("typed", pipeline_class=inside["Typed"])
    try:
        pipe = inside["Typed"](classifier()[0], task="typed")
        with pytest.raises(InputError, match="stands in no file"):
            pipe.save_pretrained(tmp_path / "typed")
    finally:
        del PIPELINE_REGISTRY.tasks["typed"]
    assert not (tmp_path / "typed").exists()
