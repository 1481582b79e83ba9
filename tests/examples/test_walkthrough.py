"""The whole walkthrough, each step a script of `examples/walkthrough`, against a Hub that holds small stand-ins."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from sklearn.metrics import f1_score

sys.path.insert(0, str(Path(__file__).parents[1] / "server"))
sys.path.insert(0, str(Path(__file__).parents[1] / "pipelines"))

import stand_ins
from running_hub import RunningHub

from samovar.server.db.engine import Database
from samovar.server.offline import OPERATOR
from samovar.server.services import accounts, short_names, tokens

FOLDER = Path(__file__).parents[2] / "examples" / "walkthrough"
SCRIPTS = sorted(FOLDER.glob("w[0-9][0-9]_*.py"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A Hub with the stand-ins."""
    hub = RunningHub(tmp_path_factory.mktemp("walkthrough") / "hub", inference_threads="1")
    with hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        database = Database(f"sqlite:///{hub.data / 'hub.sqlite3'}")
        for name in stand_ins.OWNERS:
            accounts.add_user(database, OPERATOR, name, f"password of {name}")
        accounts.add_user(database, OPERATOR, "operator", "password of operator", is_admin=True)
        token = tokens.create_token(database, OPERATOR, "operator", "admin")[1]
        stand_ins.publish(hub.client(token), tmp_path_factory.mktemp("made"))
        for (kind, short), full in stand_ins.SHORT.items():
            short_names.add(database, OPERATOR, kind, short, full)
        database.close()
        yield hub


@pytest.fixture(scope="module")
def walked(filled: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Script → what it printed and how it failed. The user has an account, and nothing in the cache."""
    work = tmp_path_factory.mktemp("work")
    environment = {
        **os.environ, "HF_ENDPOINT": filled.url, "HF_TOKEN": filled.add_user("newcomer"), "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(work / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("walk.py")), "results.json", *map(str, SCRIPTS)],
        env=environment, cwd=work, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((work / "results.json").read_text("utf-8"))
    print({name: one["seconds"] for name, one in results.items()})
    return results


def said(walked: dict[str, Any], script: str) -> list[str]:
    """The lines that a script printed; it must have come to its end."""
    [name] = [name for name in walked if name.startswith(script)]
    assert not walked[name]["problem"], walked[name]["problem"]
    return list(walked[name]["printed"])


def value(line: str) -> Any:
    """What a line shows behind its colon, as Python."""
    return ast.literal_eval(line.partition(": ")[2])


def test_every_script_is_tested() -> None:
    numbers = set(re.findall(r"def test_w(\d\d)", Path(__file__).read_text("utf-8")))
    assert {script.name[1:3] for script in SCRIPTS} == numbers


def test_w01_filters_narrow_the_list_alike_for_the_client_and_on_the_page(walked: dict[str, Any]) -> None:
    client, newest, page, licences = said(walked, "w01")
    assert client == f"by the client: {stand_ins.CLASSIFIER}"
    assert page == f"on the page: {stand_ins.CLASSIFIER}"
    assert newest.split()[1:] == [
        "SkolkovoInstitute/polite",
        "SkolkovoInstitute/toxic-closed",
        "SkolkovoInstitute/toxic-words",
    ]
    assert {"mit 4", "other 1", "cc-by-4.0 1"} <= set(value(licences))


def test_w02_a_model_s_page_says_what_there_is_to_know_and_answers(walked: dict[str, Any]) -> None:
    labels, weights, results, headings, code, history, page, http = said(walked, "w02")
    assert value(labels) == {"0": "neutral", "1": "toxic"}
    assert "F32" in weights
    assert "licence: mit" in weights
    assert set(value(results)) == {("f1", 0.9375), ("accuracy", 0.96)}
    assert "A stand-in" in headings
    assert f'model="{stand_ins.CLASSIFIER}"' in code
    assert history == "history: True"
    answered = value(page)
    assert answered[0][0] == "toxic"
    assert float(answered[0][1]) > 0.5
    assert http == "over HTTP: neutral"


def test_w03_a_pipeline_gives_plain_answers_and_later_opens_no_socket(walked: dict[str, Any]) -> None:
    both, again, sockets = said(walked, "w03")
    answers = ast.literal_eval(both)
    assert [one["label"] for one in answers] == ["neutral", "toxic"]
    assert all(type(one["score"]) is float for one in answers)
    assert ast.literal_eval(again)[0]["score"] == pytest.approx(answers[1]["score"], abs=1e-5)
    assert sockets == "sockets: 0"


def test_w04_the_tokenizer_may_be_another_model_s(walked: dict[str, Any]) -> None:
    answer, written, same = said(walked, "w04")
    assert set(ast.literal_eval(answer)) == {"answer", "score", "start", "end"}
    assert written == f"as written: {stand_ins.ANSWER}"
    assert same == "the same: True"


def test_w05_all_scores_are_sorted_and_sum_to_one(walked: dict[str, Any]) -> None:
    assert said(walked, "w05") == ["['neutral', 'toxic'] 1.0", "['toxic', 'neutral'] 1.0"]


def test_w06_a_stream_keeps_the_order_and_reads_little_ahead(walked: dict[str, Any]) -> None:
    toxic, ahead = said(walked, "w06")
    assert value(toxic) == [3, 6, 9, 12]
    assert 0 <= value(ahead) < 5000


def test_w07_the_model_is_a_module_with_named_outputs(walked: dict[str, Any]) -> None:
    module, label = said(walked, "w07")
    assert module == "module: True logits: (1, 3)"
    assert label.removeprefix("class: ") in ("samovar", "kettle", "teapot")


def test_w08_auto_classes_find_the_architecture(walked: dict[str, Any]) -> None:
    kinds, shape, pieces = said(walked, "w08")
    assert kinds == "BertConfig BertForSequenceClassification BertTokenizer"
    assert shape == "torch.Size([1, 3])"
    assert "".join(ast.literal_eval(pieces)).replace("Ġ", " ") == "a pot of tea"


def test_w09_the_trainer_learns_and_its_folder_is_a_model(walked: dict[str, Any]) -> None:
    losses, accuracies, answers = said(walked, "w09")
    values = [float(one) for one in losses.split()[1:]]
    assert len(values) == 5
    assert values[-1] < values[0] - 0.05
    assert len(accuracies.split()) == 1 + 5
    assert float(accuracies.split()[-1]) > 0.8
    assert [one["label"] for one in value(answers)] == ["LABEL_1", "LABEL_0"]


def test_w10_a_metric_is_that_of_scikit_learn_also_in_batches(walked: dict[str, Any]) -> None:
    expected = f1_score([0, 1, 0, 0, 1, 0], [0, 1, 1, 0, 1, 1])
    for line in said(walked, "w10"):
        assert ast.literal_eval(line) == {"f1": pytest.approx(expected, abs=1e-12)}


def test_w11_the_search_returns_the_best_trial(walked: dict[str, Any]) -> None:
    [line] = said(walked, "w11")
    found = re.fullmatch(r"best trial: ([012]) objective: ([\d.]+) with: \{'learning_rate': ([\d.e-]+)\}", line)
    assert found
    assert 1e-5 <= float(found[3]) <= 1e-4


def test_w12_a_loop_of_one_s_own_learns(walked: dict[str, Any]) -> None:
    loss, rate = said(walked, "w12")
    first, last = (float(one) for one in loss.removeprefix("loss: ").split(" → "))
    assert last < first - 0.02
    assert rate == "rate: [0.0]"


def test_w13_and_w14_by_hand_and_in_one_call_are_the_same(walked: dict[str, Any]) -> None:
    by_hand, encoded, difference, alike = said(walked, "w13")
    assert by_hand == "by hand: (3, 384)"
    assert encoded == "encode: (3, 384) float32"
    assert value(difference) < 1e-5
    assert alike == "alike: True"


def test_w15_tokenizers_of_all_kinds(walked: dict[str, Any]) -> None:
    pieces, fields, padded, types, *others = said(walked, "w15")
    assert any(one.startswith("##") for one in ast.literal_eval(pieces))
    assert ast.literal_eval(fields) == ["input_ids", "token_type_ids", "attention_mask"]
    lengths, _, mask = padded.partition("] ")
    assert len(set(ast.literal_eval(lengths + "]"))) == 1
    assert 0 in ast.literal_eval(mask)
    assert set(ast.literal_eval(types)) == {0, 1}
    assert [line.split()[0] for line in others] == ["GPT2Tokenizer", "T5Tokenizer", "LlamaTokenizer"]
    assert all(line.endswith("'a pot of tea'") for line in others)


def test_w16_pixels_are_as_the_checkpoint_says(walked: dict[str, Any]) -> None:
    shape, difference = said(walked, "w16")
    assert re.fullmatch(r"\(1, 3, 32, 32\) -0\.9\d 0\.9\d", shape)
    assert value(difference) <= 1 / 255 / 0.5 + 1e-6


def test_w17_what_is_shared_is_on_its_page_and_comes_back(walked: dict[str, Any], filled: RunningHub) -> None:
    files, page, refused, trusted = said(walked, "w17")
    assert {"README.md", "config.json", "model.safetensors", "notes.txt", "tokenizer_config.json"} <= set(files.split())
    assert value(page) == ["my-classifier", "toxic", "0.91"]
    assert "is code of the repository newcomer/lengths" in refused
    assert trusted == "trusted: Length True"
    info = filled.nobody.model_info("newcomer/my-classifier")
    assert info.pipeline_tag == "text-classification"
    assert [one.metric_value for one in info.card_data.eval_results] == [0.91]


def test_w18_data_is_loaded_streamed_found_and_looked_into(walked: dict[str, Any]) -> None:
    splits, streamed, found, page, rows, search, statistics, viewer = said(walked, "w18")
    assert splits == "{'train': 40, 'validation': 10, 'test': 10} ['neg', 'pos']"
    assert [streamed, page, rows, viewer] == ["streamed: True", "on the page: True", "rows: True", "viewer: True"]
    assert found == "found: cornell-movie-review-data/rotten_tomatoes"
    assert search == "search: 1"
    assert value(statistics) == {"neg": 20, "pos": 20}


def test_w19_metrics_are_documented_and_compute_on_their_pages(walked: dict[str, Any]) -> None:
    listed, documented, computed = said(walked, "w19")
    assert listed.endswith("True")
    assert documented == "documented: True True"
    shown, here = re.fullmatch(r"computed: \['([\d.]+)'\] here: ([\d.]+)", computed).groups()
    assert float(shown) == pytest.approx(float(here), abs=1e-3)


def test_w20_the_exported_model_is_the_same_elsewhere(walked: dict[str, Any]) -> None:
    onnx, labels, script = said(walked, "w20")
    assert labels == "in a pipeline: neutral toxic"
    for name, line in (("ONNX", onnx), ("TorchScript", script)):
        found = re.fullmatch(name + r": (\S+) here, at most (\S+) when it was checked", line)
        assert found
        assert max(map(float, found.groups())) < 1e-4
