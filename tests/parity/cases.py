"""One line per architecture: its name and toy sizes. A new architecture is one more line here."""

from __future__ import annotations

from harness import Case

TEXT = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
}
DISTILBERT = {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37, "max_position_embeddings": 40}
GPT2 = {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 40, "pad_token_id": 0}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 1}
IMAGE = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
}
DINOV2 = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
CONVOLUTION = {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 2, 1, 1]}
ALBERT = {**TEXT, "num_hidden_layers": 4, "embedding_size": 16, "num_hidden_groups": 2, "inner_group_num": 2}

LLAMA = {**TEXT, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
GEMMA = {**LLAMA, "head_dim": 12, "sliding_window": 6, "query_pre_attn_scalar": 20}
BLOOM = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0}
BLOOM |= {"bos_token_id": 1, "eos_token_id": 1}
OPT = {name: value for name, value in TEXT.items() if name != "intermediate_size"}
OPT |= {"ffn_dim": 37, "word_embed_proj_dim": 16, "pad_token_id": 0}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 20}
DEBERTA = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 4, "share_att_key": True}
DEBERTA |= {"norm_rel_ebd": "layer_norm", "position_biased_input": False, "max_relative_positions": -1}
TAPAS = {"type_vocab_sizes": [3, 9, 8, 2, 7, 6, 10], "num_aggregation_labels": 4, "max_num_rows": 5}
TAPAS |= {"max_num_columns": 4}
MODERNBERT = {**TEXT, "num_hidden_layers": 4, "local_attention": 10, "pad_token_id": 0, "cls_token_id": 1}
MODERNBERT |= {"bos_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}

CASES = [
    Case("bert", TEXT, types=True),
    Case("roberta", TEXT),
    Case("xlm-roberta", TEXT),
    Case("camembert", TEXT),
    Case("roberta-prelayernorm", TEXT),
    Case("distilbert", DISTILBERT),
    Case("electra", {**TEXT, "embedding_size": 16}, types=True),
    Case("albert", ALBERT, types=True),
    Case("mpnet", TEXT),
    Case("deberta-v2", {**TEXT, **DEBERTA}),
    Case("longformer", {**TEXT, "attention_window": [4, 8], "pad_token_id": 1, "sep_token_id": 2}, separators=True),
    Case("tapas", TEXT | TAPAS, tables=True),
    Case("xlnet", {"vocab_size": 99, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 37}, types=True),
    Case("modernbert", {**MODERNBERT, "classifier_pooling": "cls"}),
    Case("gpt2", GPT2),
    Case("llama", LLAMA),
    Case("mistral", {**LLAMA, "sliding_window": 6}),
    Case("qwen2", {**LLAMA, "use_sliding_window": True, "sliding_window": 6, "max_window_layers": 1}),
    Case("qwen3", {**LLAMA, "head_dim": 12}),
    Case("phi3", {**LLAMA, "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
    Case("olmo2", LLAMA),
    Case("mixtral", {**LLAMA, "num_local_experts": 4, "intermediate_size": 36}),
    Case("qwen3_moe", {**LLAMA, **EXPERTS, "mlp_only_layers": [1]}),
    Case("gemma2", GEMMA),
    Case("gemma3_text", {**GEMMA, "layer_types": ["sliding_attention", "full_attention"]}),
    Case("gpt_neox", {**TEXT, "pad_token_id": 0}),
    Case("bloom", {**BLOOM, "num_attention_heads": 4}),
    Case("falcon", {**BLOOM, "multi_query": True, "alibi": False}),
    Case("opt", OPT),
    Case("vit", IMAGE, vision=True),
    Case("deit", IMAGE, vision=True),
    Case("dinov2", DINOV2, vision=True),
    Case("resnet", {**CONVOLUTION, "embedding_size": 8}, vision=True),
    Case("convnext", {**CONVOLUTION, "num_stages": 4}, vision=True),
]

# Encoder–decoders: what `test_sequences.py` compares.
BART = {
    "vocab_size": 61, "d_model": 32, "encoder_layers": 2, "decoder_layers": 3, "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 41, "encoder_attention_heads": 4, "decoder_attention_heads": 2, "max_position_embeddings": 40,
}  # fmt: skip
MARIAN = BART | {"pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "forced_eos_token_id": 2}
T5 = {"vocab_size": 61, "d_model": 32, "d_kv": 6, "d_ff": 37, "num_layers": 2, "num_heads": 4}
T5 |= {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 7, "decoder_start_token_id": 0}
SEQUENCES = {
    "bart": ("BartForConditionalGeneration", BART),
    "mbart": ("MBartForConditionalGeneration", BART | {"decoder_start_token_id": 2}),
    "marian": ("MarianMTModel", MARIAN),
    "pegasus": ("PegasusForConditionalGeneration", MARIAN),
    "m2m_100": ("M2M100ForConditionalGeneration", BART),
    "t5": ("T5ForConditionalGeneration", T5),
    "mt5": ("MT5ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}),
}
