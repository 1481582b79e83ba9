"""TAPAS (Herzig et al. 2020, arXiv:2004.02349): BERT over tables, whose tokens know their column and row."""

from __future__ import annotations

from functools import partial
from typing import Any

from samovar.architectures.bert import LM_WEIGHTS, BertModel, bert_stack
from samovar.config import Config, doc
from samovar.errors import ConfigError
from samovar.nn.norm import layer_norm
from samovar.nn.tables import TYPES, TableEmbeddings
from samovar.nn.transformer import Pooler, TextTransformer
from samovar.tasks import heads, tables, text


class TapasConfig(Config):
    """Sizes of a TAPAS, and how it learns; the defaults are `tapas-base-finetuned-sqa`."""

    model_type = "tapas"

    vocab_size: int = doc(30522, "Number of tokens.")
    hidden_size: int = doc(768, "Width of the residual stream.")
    num_hidden_layers: int = doc(12, "Number of blocks.")
    num_attention_heads: int = doc(12, "Heads per block.")
    intermediate_size: int = doc(3072, "Width inside the MLP.")
    hidden_act: str = doc("gelu", "Activation of the MLP.")
    hidden_dropout_prob: float = doc(0.1, "Dropout on embeddings and residual branches.")
    attention_probs_dropout_prob: float = doc(0.1, "Dropout on attention probabilities.")
    max_position_embeddings: int = doc(1024, "Longest sequence, or longest cell.")
    type_vocab_sizes: list[int] = doc([3, 256, 256, 2, 256, 256, 10], "How many values each of a token's numbers has.")
    layer_norm_eps: float = doc(1e-12, "Added to the variance in norms.")
    pad_token_id: int | None = doc(0, "Token that fills up a batch.")
    positive_label_weight: float = doc(10.0, "Weight of tokens of the answer, where columns are not chosen first.")
    num_aggregation_labels: int = doc(0, "Number of operations over the cells, none included; 0: no such head.")
    aggregation_loss_weight: float = doc(1.0, "Weight of the operation's loss.")
    use_answer_as_supervision: bool | None = doc(None, "Learn operations from the number that answers.")
    answer_loss_importance: float = doc(1.0, "Weight of the loss of that number.")
    use_normalized_answer_loss: bool = doc(False, "Divide it by the larger of the two numbers.")
    huber_loss_delta: float | None = doc(None, "From where on that loss is linear; None: 1.")
    temperature: float = doc(1.0, "Divides the logits of cells.")
    aggregation_temperature: float = doc(1.0, "Divides the logits of operations.")
    use_gumbel_for_cells: bool = doc(False, "Draw cells in training.")
    use_gumbel_for_aggregation: bool = doc(False, "Draw operations in training.")
    average_approximation_function: str = doc("ratio", "The expected mean: `ratio`, `first_order`, `second_order`.")
    cell_selection_preference: float | None = doc(None, "Probability of operations up to which a cell is taken.")
    answer_loss_cutoff: float | None = doc(None, "Questions with a larger loss of the number are left out.")
    max_num_rows: int = doc(64, "Rows whose cells are chosen from.")
    max_num_columns: int = doc(32, "Columns whose cells are chosen from.")
    average_logits_per_cell: bool = doc(False, "In training tokens of a cell share their mean.")
    select_one_column: bool = doc(True, "Choose a column first, and cells of it alone.")
    allow_empty_column_selection: bool = doc(False, "It may be none.")
    init_cell_selection_weights_to_zero: bool = doc(False, "A new head gives every cell one half.")
    reset_position_index_per_cell: bool = doc(True, "Positions count from the start of each cell.")
    disable_per_token_loss: bool = doc(False, "Learn nothing from cells.")
    aggregation_labels: dict[int, str] | None = doc(None, "Names of the operations.")
    no_aggregation_label_index: int | None = doc(None, "Which of them is none.")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        if self.aggregation_labels is not None:
            # JSON has no whole numbers as keys.
            self.aggregation_labels = {int(key): name for key, name in self.aggregation_labels.items()}


class TapasModel(TextTransformer):
    """TAPAS without a head; `token_type_ids` are (batch, sequence, 7)."""

    config_class = TapasConfig
    prefix = "tapas"
    has_pooler = True
    weights = {**BertModel.weights, "embeddings.token_type_embeddings_{i}": "embeddings.token_types.{i}"}

    def __init__(self, config: TapasConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        if len(config.type_vocab_sizes) != len(TYPES):
            raise ConfigError(
                f"type_vocab_sizes has {len(config.type_vocab_sizes)} entries; a token has {len(TYPES)} numbers: "
                f"{', '.join(TYPES)}.",
                "Give a size for each.",
            )
        self.embeddings = TableEmbeddings(  # type: ignore[assignment]
            config.vocab_size, config.hidden_size, config.type_vocab_sizes, config.max_position_embeddings,
            layer_norm(config.layer_norm_eps), dropout=config.hidden_dropout_prob, padding_idx=config.pad_token_id,
            by_cell=config.reset_position_index_per_cell,
        )  # fmt: skip
        self.layers = bert_stack(config, config.num_hidden_layers)
        self.pooler = Pooler(config.hidden_size) if add_pooling_layer else None


class TapasForQuestionAnswering(
    tables.TableQuestionAnswering, backbone=TapasModel, head=tables.TableHead,
    weights={"aggregation_classifier": "aggregation"},
):  # fmt: skip
    """TAPAS that answers questions on tables."""


class TapasForSequenceClassification(
    text.SequenceClassification, backbone=TapasModel, head=partial(heads.PooledClassifier, hidden_dropout=True)
):
    """TAPAS that judges statements on tables."""


class TapasForMaskedLM(text.MaskedLM, backbone=TapasModel, head=heads.BiasedLMHead, weights=LM_WEIGHTS):
    """TAPAS that fills masks."""
