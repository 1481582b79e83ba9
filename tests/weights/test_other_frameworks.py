"""Checkpoints that exist for Flax or TensorFlow alone load by the name tables of the PyTorch ones."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import h5py
import msgpack
import numpy as np
import pytest
import torch
from ml_dtypes import bfloat16
from other_files import flax_tree, packed, tensorflow_names, write_flax, write_tensorflow
from safetensors.numpy import load_file, save_file

import samovar
from samovar.errors import CorruptFileError, FileMissingError, UnsafeFileError

sys.path.insert(0, str(Path(__file__).parents[1] / "parity"))
from cases import CASES, SEQUENCES

SIZES = {case.model_type: case.sizes for case in CASES} | {name: sizes for name, (_, sizes) in SEQUENCES.items()}
# Architecture, class, TensorFlow's name of the class, and two names each that published checkpoints have.
KINDS = [
    ("bert", "AutoModelForSequenceClassification", "tf_bert_for_sequence_classification",
     ("bert/encoder/layer/0/attention/self/query/kernel", "bert/embeddings/LayerNorm/scale"),
     ("tf_bert_for_sequence_classification/bert/encoder/layer_._0/attention/self/query/kernel:0",
      "tf_bert_for_sequence_classification/bert/embeddings/word_embeddings/weight:0")),
    ("roberta", "AutoModelForMaskedLM", "tf_roberta_for_masked_lm",
     ("roberta/embeddings/position_embeddings/embedding", "lm_head/layer_norm/scale"),
     ("tf_roberta_for_masked_lm/roberta/embeddings/position_embeddings/embeddings:0",
      "tf_roberta_for_masked_lm/lm_head/dense/kernel:0")),
    ("distilbert", "AutoModelForSequenceClassification", "tf_distil_bert_for_sequence_classification",
     ("distilbert/transformer/layer/1/attention/q_lin/kernel", "distilbert/transformer/layer/0/sa_layer_norm/scale"),
     ("tf_distil_bert_for_sequence_classification/distilbert/transformer/layer_._0/sa_layer_norm/gamma:0",
      "tf_distil_bert_for_sequence_classification/pre_classifier/kernel:0")),
    ("gpt2", "AutoModelForCausalLM", "tfgp_t2lm_head_model",
     ("transformer/h/0/attn/c_attn/kernel", "transformer/wte/embedding"),
     ("tfgp_t2lm_head_model/transformer/h_._0/attn/c_attn/weight:0",
      "tfgp_t2lm_head_model/transformer/wpe/embeddings:0")),
    ("vit", "AutoModelForImageClassification", "tf_vi_t_for_image_classification",
     ("vit/embeddings/patch_embeddings/projection/kernel", "vit/embeddings/cls_token"),
     ("tf_vi_t_for_image_classification/vit/embeddings/patch_embeddings/projection/kernel:0",
      "tf_vi_t_for_image_classification/vit/encoder/layer_._1/attention/attention/query/bias:0")),
    ("resnet", "AutoModelForImageClassification", "tf_res_net_for_image_classification",
     ("batch_stats/resnet/embedder/embedder/normalization/mean",
      "params/resnet/encoder/stages/0/layers/0/layer/0/convolution/kernel"),
     ("tf_res_net_for_image_classification/resnet/encoder/stages.0/layers.0/layer.0/convolution/kernel:0",
      "tf_res_net_for_image_classification/resnet/embedder/embedder/normalization/moving_mean:0")),
    ("t5", "AutoModelForSeq2SeqLM", "tf_t5for_conditional_generation",
     ("encoder/block/0/layer/0/SelfAttention/relative_attention_bias/embedding", "shared/embedding"),
     ("tf_t5for_conditional_generation/encoder/block_._0/layer_._0/SelfAttention/relative_attention_bias/embeddings:0",
      "shared/shared/weight:0")),
    ("bart", "AutoModelForSeq2SeqLM", "tf_bart_for_conditional_generation",
     ("model/encoder/layers/0/self_attn/k_proj/kernel", "final_logits_bias"),
     ("tf_bart_for_conditional_generation/model/encoder/layers.0/self_attn/k_proj/kernel:0", "final_logits_bias:0")),
]  # fmt: skip


def saved(model_type: str, auto: str, folder: Path) -> Any:
    """A model whose weights are all random, saved; the arrays of its file come back with it."""
    torch.manual_seed(0)
    model = getattr(samovar, auto).from_config(samovar.AutoConfig.for_model(model_type, **SIZES[model_type]))
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 1)
    model.save_pretrained(folder)
    return model, load_file(folder / "model.safetensors")


def same(one: Any, other: Any) -> None:
    """Every weight is the same, bit for bit."""
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]) or "num_batches_tracked" in name, name


def read(folder: Path, auto: str, **options: Any) -> Any:
    return getattr(samovar, auto).from_pretrained(folder, **options)


def answer(model: Any) -> torch.Tensor:
    """Logits for some input."""
    torch.manual_seed(1)
    if model.main_input_name == "pixel_values":
        return model(torch.rand(2, 3, 32, 32)).logits
    ids = torch.randint(4, 50, (2, 7))
    return (model(ids, decoder_input_ids=ids) if model.config.model_type in SEQUENCES else model(ids)).logits


@pytest.mark.slow
@pytest.mark.parametrize(("model_type", "auto", "scope", "flax", "tensorflow"), KINDS, ids=[kind[0] for kind in KINDS])
def test_flax_and_tensorflow_checkpoints_are_the_pytorch_one(
    model_type: str, auto: str, scope: str, flax: tuple[str, ...], tensorflow: tuple[str, ...], tmp_path: Path
) -> None:
    model, state = saved(model_type, auto, tmp_path)
    model.eval()
    (tmp_path / "model.safetensors").unlink()
    paths = write_flax(tmp_path, state, model_type)
    assert set(flax) <= set(paths)
    found = read(tmp_path, auto)
    same(model, found)
    with torch.no_grad():
        assert torch.equal(answer(model), answer(found))
    (tmp_path / "flax_model.msgpack").unlink()
    arrays = tensorflow_names(state, model_type, scope)
    assert set(tensorflow) <= set(arrays)
    write_tensorflow(tmp_path, arrays)
    same(model, read(tmp_path, auto))


def test_shards_other_heads_and_other_weights_beside_them(tmp_path: Path) -> None:
    model, state = saved("bert", "AutoModelForSequenceClassification", tmp_path)
    other = {name: array + 1 for name, array in state.items()}
    write_flax(tmp_path, other, "bert", shards=3)
    write_tensorflow(tmp_path, tensorflow_names(other, "bert", "tf_bert_for_sequence_classification_2"), shards=2)
    same(model, read(tmp_path, "AutoModelForSequenceClassification"))
    shifted = read(tmp_path, "AutoModelForSequenceClassification", from_flax=True)
    assert torch.equal(shifted.state_dict()["head.classifier.bias"], model.state_dict()["head.classifier.bias"] + 1)
    same(shifted, read(tmp_path, "AutoModelForSequenceClassification", from_tf=True))
    same(shifted.base_model, read(tmp_path, "AutoModel", from_tf=True))
    (tmp_path / "flax_model.msgpack.index.json").unlink()
    with pytest.raises(FileMissingError, match=r"no flax_model\.msgpack"):
        read(tmp_path, "AutoModel", from_flax=True)


def test_layouts_that_some_checkpoints_have(tmp_path: Path) -> None:
    model, state = saved("bert", "AutoModel", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    # Kernels with their heads apart, as TensorFlow's BERT had them for a while.
    arrays = tensorflow_names({f"bert.{name}": array for name, array in state.items()}, "bert", "tf_bert_model")
    for name, array in arrays.items():
        if any(f"/{part}/" in name for part in ("query", "key", "value")):
            arrays[name] = array.reshape(*array.shape[:-1], 4, 8)
        elif "attention/output/dense/kernel" in name:
            arrays[name] = array.reshape(4, 8, 32)
    write_tensorflow(tmp_path, arrays)
    same(model, read(tmp_path, "AutoModel"))
    (tmp_path / "tf_model.h5").unlink()
    # Half precision, and an array in chunks, as arrays above 1 GiB are written.
    half = flax_tree({name: array.astype(bfloat16) for name, array in state.items()}, "bert")
    found = write_and_read(tmp_path, msgpack.packb(packed(half), strict_types=True), dtype=torch.bfloat16)
    same(copy.deepcopy(model).to(torch.bfloat16), found)
    tree = flax_tree(state, "bert")
    kernel = tree["pooler"]["dense"]["kernel"]
    parts = {str(at): packed(part) for at, part in enumerate(np.split(kernel.reshape(-1), 4))}
    chunked = {"__msgpack_chunked_array__": True, "shape": {"0": 32, "1": 32}, "chunks": parts}
    del tree["pooler"]["dense"]["kernel"]
    tree = packed(tree)
    tree["pooler"]["dense"]["kernel"] = chunked
    same(model, write_and_read(tmp_path, msgpack.packb(tree, strict_types=True)))


def write_and_read(folder: Path, content: bytes, **options: Any) -> Any:
    (folder / "flax_model.msgpack").write_bytes(content)
    return read(folder, "AutoModel", **options)


def array_of(shape: list[int], kind: str, data: bytes, code: int = 1) -> bytes:
    return msgpack.packb({"w": msgpack.ExtType(code, msgpack.packb((shape, kind, data)))})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\x93\x01\x02\x03", "is not one map"),
        (array_of([2], "float32", b"1234567"), "would need 8 bytes; 7 are there"),
        (array_of([-1, -2], "float32", b"12345678"), "would need"),
        (array_of([2**40, 2**40], "float32", b"1234"), "would need"),
        (array_of([1], "object", b"12345678"), "type 'object'"),
        (array_of([1], "float32", b"1234", code=5), "extension of type 5"),
        (array_of([1], "float32", b"1234")[:-2], "cut off"),
        (array_of([1], "float32", b"1234") + b"\xc0", "is not one map"),
        (msgpack.packb({"w": 3}), "is no array"),
        (msgpack.packb({"w": [1] * 100}), "list of 100 values"),
        (b"\x81\xa1w" * 100, "nested deeper"),
        (b"\xdf\xff\xff\xff\xff", "ends within a value"),
        (b"\x81\xa1\xff\xc0", "no UTF-8"),
        (b"\x82\xa1w\xc0\xa1w\xc0", "twice"),
        (b"\x81\xa1w\xc1", "byte 0xc1"),
        (b"\x81\xa1w\xdb\xff\xff\xff\xff", "ends within a value"),
        (msgpack.packb({"w": {"__msgpack_chunked_array__": True, "shape": {"0": 4}, "chunks": {"0": 1}}}), "no array"),
    ],
)
def test_hostile_flax_files_are_named(content: bytes, reason: str, tmp_path: Path) -> None:
    samovar.AutoConfig.for_model("bert", **SIZES["bert"]).save_pretrained(tmp_path)
    with pytest.raises(CorruptFileError, match=reason):
        write_and_read(tmp_path, content)


def test_hostile_tensorflow_files_are_named(tmp_path: Path) -> None:
    samovar.AutoConfig.for_model("bert", **SIZES["bert"]).save_pretrained(tmp_path)
    path = tmp_path / "tf_model.h5"
    path.write_bytes(b"not HDF5")
    with pytest.raises(CorruptFileError, match="no whole HDF5 file"):
        read(tmp_path, "AutoModel")
    secret = tmp_path / "secret"
    secret.write_bytes(b"1234")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (1,), "float32", external=[(str(secret), 0, 4)])
    with pytest.raises(UnsafeFileError, match="lies in another file"):
        read(tmp_path, "AutoModel")
    with h5py.File(path, "w") as file:
        file.create_dataset("a", (10**6, 10**6), "float32", chunks=(10, 10))
    with pytest.raises(CorruptFileError, match="would need 4,000,000,000,000 bytes; 0 are there"):
        read(tmp_path, "AutoModel")
    with h5py.File(path, "w") as file:
        file["a"] = "text"
    with pytest.raises(CorruptFileError, match="no plain tensor"):
        read(tmp_path, "AutoModel")
    whole = tmp_path / "whole"
    whole.mkdir()
    write_tensorflow(whole, {"tf_bert_model/bert/pooler/dense/bias:0": np.ones(4000, np.float32)})
    path.write_bytes((whole / "tf_model.h5").read_bytes()[:-8000])
    with pytest.raises(CorruptFileError, match="no whole HDF5 file"):
        read(tmp_path, "AutoModel")


def test_safetensors_come_first_and_an_index_is_checked(tmp_path: Path) -> None:
    model, state = saved("bert", "AutoModel", tmp_path)
    (tmp_path / "tf_model.h5").write_bytes(b"never opened")
    same(model, read(tmp_path, "AutoModel"))
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "tf_model.h5").unlink()
    (tmp_path / "flax_model.msgpack.index.json").write_text(json.dumps({"weight_map": {"a": "../flax.msgpack"}}))
    with pytest.raises(UnsafeFileError, match="not a plain file name"):
        read(tmp_path, "AutoModel")
    save_file(dict(state), tmp_path / "model.safetensors")
    same(model, read(tmp_path, "AutoModel"))
