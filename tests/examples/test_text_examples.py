"""The examples on texts run as scripts and print what they promise."""

from __future__ import annotations

import pytest
from test_examples import printed

from assets import minilm_folder


@pytest.mark.slow
def test_the_nearest_sentence_is_named() -> None:
    lines = printed("examples/alike.py", str(minilm_folder()))
    assert [line.split("~  ")[1] for line in lines] == ["I cried in the cinema.", "I forgot my login code."]
    assert all(float(line.split()[0]) > 0.4 for line in lines)


@pytest.mark.slow
def test_a_text_comes_in_pieces_and_can_be_left() -> None:
    lines = printed("examples/streaming_text.py", str(minilm_folder()))
    assert lines[0].startswith("boils water for tea")
    assert lines[1] == "first words: boils"


@pytest.mark.slow
def test_a_model_is_exported_and_runs_without_pytorchs_weights() -> None:
    lines = printed("examples/export_onnx.py", str(minilm_folder()))
    assert "(onnx): largest difference" in lines[0]
    megabytes = [int(line.split()[1]) for line in lines[2:4]]
    assert megabytes[1] < 0.3 * megabytes[0]
    cosines = [float(line.split()[-1]) for line in lines[4:6]]
    assert cosines[0] > 0.99999
    assert cosines[1] > 0.97
    assert lines[6] == "most like the first: The kettle is hot."
