"""The stock `transformers` against the Hub, with a toy model. Each in a process: settings are read once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.slow

PUSH = """
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast
    import torch

    torch.manual_seed(0)
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "tea", "is", "good", "bad"]
    words = {word: n for n, word in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1},
    )
    model = BertForSequenceClassification(config).eval()
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        expected = model(ids).logits
"""


@pytest.fixture(scope="module")
def run(hub, tmp_path_factory):
    """Runs a program with `transformers` pointed at the Hub; fails if the program does."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": hub.add_user("tanya"),
        "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip

    def run(program: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=environment,
            cwd=home, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{hub.log()[-3000:]}"
        return done.stdout

    return run


def test_a_model_goes_up_and_comes_back_the_same(run, hub):
    run(
        textwrap.dedent(PUSH)
        + textwrap.dedent(
            """
            model.push_to_hub("tanya/toy")
            fast.push_to_hub("tanya/toy")

            from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

            back = AutoModelForSequenceClassification.from_pretrained("tanya/toy").eval()
            with torch.inference_mode():
                assert torch.equal(back(ids).logits, expected)
            assert AutoTokenizer.from_pretrained("tanya/toy")("tea is good")["input_ids"] == [5, 6, 7]
            assert AutoTokenizer.from_pretrained("tanya/toy", revision="main").vocab_size == len(words)
            answer = pipeline("text-classification", model="tanya/toy")("tea is good")[0]
            assert answer["label"] in ("bad", "good")

            model.push_to_hub("tanya/toy-sharded", max_shard_size="20KB", private=True)
            back = AutoModelForSequenceClassification.from_pretrained("tanya/toy-sharded").eval()
            with torch.inference_mode():
                assert torch.equal(back(ids).logits, expected)
            """
        )
    )
    info = hub.nobody.model_info("tanya/toy", expand=["config", "safetensors", "pipeline_tag", "library_name", "tags"])
    assert info.config["model_type"] == "bert"
    assert info.safetensors.total > 1000
    assert (info.pipeline_tag, info.library_name) == ("text-classification", "transformers")
    assert "safetensors" in info.tags


def test_a_model_that_is_not_there_is_said_not_to_be(run):
    run(
        """
        import pytest
        from transformers import AutoConfig

        with pytest.raises(OSError, match="tanya/absent"):
            AutoConfig.from_pretrained("tanya/absent")
        """
    )
