"""`python tests/parity/page.py > docs/architectures.md`: sizes of the architectures and how near they come, measured.

Each is built at toy size by the reference library with random weights, read from its files, and compared.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from cases import CASES, SEQUENCES
from harness import Case, difference, inputs_for, reference_model

import samovar
from samovar.registry import ARCHITECTURES, backbone_class

PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"
PAIRS = (("bert", "gpt2"), ("roberta", "roberta"))
CACHED = (True, False)
GREEDY: dict[str, Any] = {"max_new_tokens": 20, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
INTRODUCTION = """# Architectures

Each is three tables in one file: config fields, structure out of bricks, weight names. The lines are those of the whole
file, named heads and documentation included. The difference is the largest of all logits and hidden states, over every
head that the reference library has, padded, unpadded and alone, at toy size with random weights in one run. "20 tokens"
says that what is written is the same with and without a cache. The tests hold every one of them also to attentions,
losses and gradients, and to files that go both ways bit for bit.

This page is made by `python tests/parity/page.py > docs/architectures.md`.
"""


def files() -> dict[str, list[str]]:
    """Module of an architecture → its model types."""
    found: dict[str, list[str]] = {}
    for model_type, target in sorted(ARCHITECTURES.items()):
        found.setdefault(target.partition(":")[0].rpartition(".")[2], []).append(model_type)
    return dict(sorted(found.items()))


def lines(name: str) -> int:
    """Lines of a file of the architectures."""
    source = Path(str(samovar.__file__)).parent / "architectures" / f"{name}.py"
    return len(source.read_text("utf-8").splitlines())


def heads(model_type: str) -> int:
    """How many named models an architecture has, the bare one included."""
    backbone = backbone_class(model_type)
    return len({backbone, *backbone.tasks.values()})


def kind(model_type: str) -> str:
    """What it reads and writes."""
    backbone = backbone_class(model_type)
    if backbone.main_input_name == "pixel_values":
        return "images"
    if "seq2seq-lm" in backbone.tasks:
        return "encoder–decoder"
    return "decoder" if getattr(backbone, "causal", False) or model_type == "xlnet" else "encoder"


def apart(ours: Any, theirs: Any, mask: torch.Tensor | None) -> float:
    """The largest difference of logits and states in two outputs."""
    largest = 0.0
    for key in theirs:
        if "logits" in key or "hidden_state" in key:
            both = (
                ((ours[key], theirs[key]),)
                if isinstance(theirs[key], torch.Tensor)
                else zip(ours[key], theirs[key], strict=True)
            )
            for one, other in both:
                largest = max(largest, difference(one, other, mask).max().item())
    return largest


def measured(case: Case, folder: Path) -> tuple[float, bool | None]:
    """The largest difference over all heads, and whether twenty tokens are the same; None: it writes none."""
    largest, same = 0.0, None
    for auto in case.heads():
        reference = reference_model(case, auto)
        reference.save_pretrained(folder / auto)
        ours = getattr(samovar, auto).from_pretrained(folder / auto)
        with torch.no_grad():
            for inputs in inputs_for(case, auto).values():
                given = {**inputs, "output_hidden_states": True}
                largest = max(largest, apart(ours(**given), reference(**given), inputs.get("attention_mask")))
        if auto == "AutoModelForCausalLM" and kind(case.model_type) == "decoder":
            ids = inputs_for(case, auto)["unpadded"]["input_ids"]
            memory = "use_mems" if case.model_type == "xlnet" else "use_cache"
            for cached in CACHED:
                mine, wanted = (one.generate(ids, **GREEDY, **{memory: cached}) for one in (ours, reference))
                same = same is not False and torch.equal(mine, wanted)
    return largest, same


def measured_sequence(theirs: Any, ours: Any) -> tuple[float, bool]:
    """The same for a text and its answer."""
    generator = torch.Generator().manual_seed(1)
    ids, answer = (torch.randint(5, 60, (3, length), generator=generator) for length in (9, 7))
    mask = (torch.arange(9)[None] < torch.tensor([9, 6, 8])[:, None]).long()
    given = {"input_ids": ids, "attention_mask": mask, "output_hidden_states": True}
    with torch.no_grad():
        outputs = [model(**given, decoder_input_ids=answer) for model in (ours, theirs)]
    source = {"input_ids": ids, "attention_mask": mask, "max_new_tokens": 20}
    wanted = theirs.generate(**source)
    same = all(torch.equal(ours.generate(**source, use_cache=cached), wanted) for cached in CACHED)
    written = [{key: out[key] for key in ("logits", "decoder_hidden_states")} for out in outputs]
    read = [{"hidden_state": out["encoder_last_hidden_state"]} for out in outputs]
    return max(apart(*written, None), apart(*read, mask)), same


def sequence(model_type: str, folder: Path) -> tuple[float, bool]:
    """An encoder–decoder of the harness."""
    torch.manual_seed(0)
    name, sizes = SEQUENCES[model_type]
    theirs = getattr(transformers, name)(transformers.AutoConfig.for_model(model_type, **sizes)).eval()
    theirs.save_pretrained(folder)
    return measured_sequence(theirs, samovar.AutoModelForSeq2SeqLM.from_pretrained(folder))


def joined(folder: Path) -> tuple[float, bool]:
    """Pairs of an encoder and a decoder."""
    sizes = {case.model_type: case.sizes for case in CASES}
    results = []
    for encoder, decoder in PAIRS:
        torch.manual_seed(0)
        parts = [transformers.AutoConfig.for_model(name, **sizes[name]) for name in (encoder, decoder)]
        config = transformers.EncoderDecoderConfig.from_encoder_decoder_configs(*parts)
        config.pad_token_id, config.eos_token_id, config.decoder_start_token_id = 3, 2, 5
        theirs = transformers.EncoderDecoderModel(config).eval()
        theirs.save_pretrained(folder / decoder)
        results.append(measured_sequence(theirs, samovar.AutoModelForSeq2SeqLM.from_pretrained(folder / decoder)))
    return max(result[0] for result in results), all(result[1] for result in results)


def row(name: str, types: list[str], near: float, same: bool | None) -> str:
    """A line of the table."""
    shown = f"{near:.0e}" if near else "0"
    tokens = "" if same is None else "equal" if same else "DIFFERENT"
    known = "" if types == [name] else f" ({', '.join(types)})"
    counts = sorted({heads(model_type) for model_type in types})
    return f"| `{name}`{known} | {kind(types[0])} | {lines(name)} | {'–'.join(map(str, counts))} | {shown} | {tokens} |"


def table() -> str:
    """All architectures, measured."""
    cases = {case.model_type: case for case in CASES}
    rows = ["| file | kind | lines | models | difference | 20 tokens |", "|---|---|---:|---:|---:|---|"]
    for name, types in files().items():
        near, same = 0.0, None
        for model_type in types:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder)
                if model_type in cases:
                    found: tuple[float, bool | None] = measured(cases[model_type], path)
                else:
                    found = joined(path) if model_type not in SEQUENCES else sequence(model_type, path)
            near, same = max(near, found[0]), found[1] if same is None else same and found[1] is not False
        rows.append(row(name, types, near, same))
    return "\n".join(rows)


def main() -> None:
    """Print the page; what stands behind the table is kept."""
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    behind = PAGE.read_text("utf-8").partition("\n## ")[2]
    print(f"{INTRODUCTION}\n{table()}\n\n## {behind}", end="")


if __name__ == "__main__":
    main()
