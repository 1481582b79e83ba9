"""OpenVINO: every architecture at several sizes, and the steps of a decoder one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys import KINDS, MEASURED, parts, toy

from samovar.export import export_model
from samovar.export.comparing import TOLERANCE, compared
from samovar.export.openvino_format import runner, write

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("model_type", MEASURED)
def test_answers_are_the_models(model_type: str, tmp_path: Path) -> None:
    for part in parts(model_type):
        write(part, tmp_path)
        assert {f"{part.name}.xml", f"{part.name}.bin"} <= {path.name for path in tmp_path.iterdir()}
        for found in compared(part, runner(part, tmp_path)):
            assert found.largest < TOLERANCE, str(found)


def test_chained_steps_write_what_generate_writes(tmp_path: Path) -> None:
    model = toy(KINDS["decoder"])
    result = export_model(model, "openvino", tmp_path / "out")
    (part,) = result.parts
    run = runner(part, tmp_path / "out")
    ids = torch.tensor([[5, 17, 44, 8]])
    expected = model.generate(ids, max_new_tokens=5, eos_token_id=98)[0].tolist()
    past = {one.name: np.zeros(one.shape({"batch_size": 1, "past_sequence_length": 0}), np.float32)
            for one in part.inputs[2:]}  # fmt: skip
    tokens, new = ids.tolist()[0], ids.numpy()
    for _ in range(5):
        answer = run({"input_ids": new, "attention_mask": np.ones((1, len(tokens)), np.int64), **past})
        found = dict(zip(part.outputs, answer, strict=True))
        tokens.append(int(found["logits"][0, -1].argmax()))
        new = np.array([tokens[-1:]])
        past = {name: found[name.replace("past_key_values", "present")] for name in past}
    assert tokens == expected
