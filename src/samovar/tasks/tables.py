"""Questions on tables: cells of one column, and what is made of them (Herzig et al. 2020, TAPAS, sections 3 and 4)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import RelaxedBernoulli, RelaxedOneHotCategorical

from samovar.config import Config
from samovar.errors import ConfigError, InputError
from samovar.nn.tables import ROW, Grid
from samovar.tasks import heads, outputs, text

# Logits of what may not be, and what keeps a division from one by zero.
NEVER, TINY = -10000.0, 1e-10


class TableHead(heads.Head):
    """Scores of tokens and of columns, each by one vector, and of the operations by a linear layer over the pooler."""

    pooled = True

    def __init__(self, config: Config) -> None:
        super().__init__()
        hidden, count = config.hidden_size, config.num_aggregation_labels
        self.std = 0.0 if config.init_cell_selection_weights_to_zero else config.initializer_range
        self.output_weights, self.output_bias = nn.Parameter(torch.empty(hidden)), nn.Parameter(torch.empty(()))
        self.column_output_weights = nn.Parameter(torch.empty(hidden))
        self.column_output_bias = nn.Parameter(torch.empty(()))
        self.aggregation = nn.Linear(hidden, count) if count > 0 else None

    def initialise(self, name: str, tensor: Tensor) -> None:
        nn.init.normal_(tensor, std=self.std) if tensor.ndim else nn.init.zeros_(tensor)

    def tokens(self, states: Tensor) -> Tensor:
        """(batch, sequence)."""
        return states @ self.output_weights + self.output_bias

    def columns(self, states: Tensor, grid: Grid, none_allowed: bool) -> Tensor:
        """(batch, columns): means over the real cells of each; column 0 stands for none of them."""
        scores = grid.means(states @ self.column_output_weights + self.column_output_bias)
        count = grid.real.sum(1)
        # Not `+ TINY`: ONNX's optimiser takes so small a summand for 0.
        scores = (scores * grid.real).sum(1) / count.clamp(min=TINY)
        absent = count < 0.5
        absent[:, 0] = not none_allowed
        return scores + NEVER * absent


class Choice(NamedTuple):
    """What is chosen in a table."""

    logits: Tensor  # (batch, sequence)
    loss: Tensor  # (batch)


class TableQuestionAnswering(text.TextModel):
    """Which cells answer a question, and which operation over them.

    Trained on the cells (`labels`, 1 for each token of the answer's) and operations, or on a number alone
    (`config.use_answer_as_supervision`, `float_answer`).
    """

    task = "table-question-answering"
    head: TableHead

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        table_mask: Tensor | None = None,
        labels: Tensor | None = None,
        aggregation_labels: Tensor | None = None,
        float_answer: Tensor | None = None,
        numeric_values: Tensor | None = None,
        numeric_values_scale: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """`logits` (batch, sequence) of each token's cell, `logits_aggregation` (batch, operations) where there are.

        `token_type_ids` (batch, sequence, 7) are the tokenizer's. `float_answer` (batch) is NaN where the answer is
        no number; `numeric_values` and `numeric_values_scale` (batch, sequence) are the numbers in the cells, and how
        many tokens share each. Raises `InputError` where the loss needs what is not given.
        """
        given = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        out, as_dict = self.read(given, output_attentions, output_hidden_states, return_dict)
        states, config = out.last_hidden_state, self.config
        if token_type_ids is None:
            size = (*states.shape[:2], len(config.type_vocab_sizes))
            token_type_ids = torch.zeros(size, dtype=torch.long, device=states.device)
        mask = states.new_ones(states.shape[:2]) if attention_mask is None else attention_mask
        grid = Grid.of(token_type_ids, mask, config.max_num_rows, config.max_num_columns)
        tokens = self.head.tokens(states) / config.temperature
        columns = None
        if config.select_one_column:
            columns = self.head.columns(states, grid, config.allow_empty_column_selection)
        operations = None if self.head.aggregation is None else self.head.aggregation(out.pooler_output)
        loss = None
        if labels is None:
            logits = (
                tokens if columns is None else within_column(tokens, columns, grid, torch.zeros_like(tokens)).logits
            )
        else:
            if config.average_logits_per_cell:
                tokens = grid.spread(grid.means(tokens))
            if columns is None:
                choice = self.anywhere(tokens, labels, mask.float())
            else:
                choice = within_column(tokens, columns, grid, labels)
            logits = choice.logits
            inside = (token_type_ids[..., ROW] > 0).float() if table_mask is None else table_mask.float()
            numbers = (float_answer, numeric_values, numeric_values_scale)
            loss = self.loss(choice, operations, labels, aggregation_labels, numbers, inside)
        return self.finish(
            outputs.TableQuestionAnsweringOutput, loss, out, as_dict, logits=logits, logits_aggregation=operations
        )

    def anywhere(self, tokens: Tensor, labels: Tensor, mask: Tensor) -> Choice:
        """Each token by itself, positive ones weighted."""
        weight = torch.where(labels == 0, 1.0, self.config.positive_label_weight)
        losses = F.binary_cross_entropy_with_logits(tokens, labels.to(tokens.dtype), weight, reduction="none")
        return Choice(tokens, (losses * mask).sum(1) / (mask.sum(1) + TINY))

    def loss(
        self,
        choice: Choice,
        operations: Tensor | None,
        labels: Tensor,
        aggregation_labels: Tensor | None,
        numbers: tuple[Tensor | None, Tensor | None, Tensor | None],
        inside: Tensor,
    ) -> Tensor:
        """The loss of the cells, of the operation, and of the number that comes out (section 4)."""
        config = self.config
        total = choice.logits.new_zeros(())
        if operations is None or not config.use_answer_as_supervision:
            if not config.disable_per_token_loss:
                total = total + choice.loss.mean()
            if operations is not None:
                if aggregation_labels is None:
                    raise InputError("This loss needs aggregation_labels.", "Give the operation of each question.")
                known = F.cross_entropy(operations, aggregation_labels, reduction="none")
                total = total + (config.aggregation_loss_weight * known).mean()
            return total
        answer, values, scales = numbers
        if answer is None or values is None or scales is None:
            raise InputError(
                "With use_answer_as_supervision this loss needs float_answer, numeric_values and numeric_values_scale.",
                "Give the number that answers each question (NaN: none), and the tokenizer's other two.",
            )
        computed = self.computed(answer, operations, labels)
        if not config.disable_per_token_loss:
            total = total + (choice.loss * (1 - computed)).mean()
        shares = operations.log_softmax(-1)
        further = -shares[:, 0] * (1 - computed) - shares[:, 1:].logsumexp(-1) * computed
        further = config.aggregation_loss_weight * further
        error, kept = self.number_loss(answer, computed, choice.logits, values, scales, inside, operations)
        return total + ((further + error) * kept).mean()

    def computed(self, answer: Tensor, operations: Tensor, labels: Tensor) -> Tensor:
        """1 for questions whose answer is computed, 0 for those whose answer stands in cells (section 4.2)."""
        if self.config.cell_selection_preference is None:
            raise ConfigError(
                "cell_selection_preference says when a number is taken from a cell, and is not set.",
                "Set it, for example to 0.2.",
            )
        rather = operations.softmax(-1)[:, 1:].sum(1) <= self.config.cell_selection_preference
        found = labels.sum(1) > 0
        return (~answer.isnan() & ~(rather & found)).to(operations.dtype).detach()

    def number_loss(
        self,
        answer: Tensor,
        computed: Tensor,
        logits: Tensor,
        values: Tensor,
        scales: Tensor,
        inside: Tensor,
        operations: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The expected result's distance from the answer, and 0 for questions where it is beyond the cutoff."""
        config = self.config
        expected = self.expected(logits, values, scales, inside, operations)
        answer = answer.nan_to_num()
        delta = config.huber_loss_delta or 1.0
        if config.use_normalized_answer_loss:
            size = (torch.maximum(expected.abs(), answer.abs()) + TINY).detach()
            expected, answer, delta = expected / size, answer / size, 1.0
        error = F.huber_loss(expected * computed, answer * computed, reduction="none", delta=delta)
        cutoff = config.answer_loss_cutoff
        kept = torch.ones_like(error) if cutoff is None else (error <= cutoff).to(error.dtype)
        return config.answer_loss_importance * error * computed, kept

    def expected(self, logits: Tensor, values: Tensor, scales: Tensor, inside: Tensor, operations: Tensor) -> Tensor:
        """Sum, mean and count under the cells' probabilities, by those of the operations (section 4.2, equation 2)."""
        config = self.config
        if config.use_gumbel_for_cells:
            temperature = torch.as_tensor(config.temperature, device=logits.device)
            chances = RelaxedBernoulli(temperature, logits=logits * config.temperature).sample()
        else:
            chances = logits.sigmoid()
        chances = chances / scales * inside
        count, values = chances.sum(1), values.nan_to_num()
        total = (chances * values).sum(1)
        # Of a random set the mean is not the quotient of the means (appendix D).
        kind = config.average_approximation_function
        others = count[:, None] - chances + 1
        if kind == "ratio":
            mean = total / (count + TINY)
        elif kind == "first_order":
            mean = (values * chances / others).sum(1)
        elif kind == "second_order":
            spread = chances * (1 - chances)
            spread = spread.sum(1, keepdim=True) - spread
            mean = (values * chances * (spread / others.square() + 1) / others).sum(1)
        else:
            raise ConfigError(
                f"Unknown average_approximation_function {kind!r}.", "Known: ratio, first_order, second_order."
            )
        real = operations[:, 1:]
        if config.use_gumbel_for_aggregation:
            temperature = torch.as_tensor(config.aggregation_temperature, device=logits.device)
            weights = RelaxedOneHotCategorical(temperature, logits=real).sample()
        else:
            weights = (real / config.aggregation_temperature).softmax(-1)
        return (torch.stack([total, mean, count], dim=1) * weights).sum(1)


def within_column(tokens: Tensor, columns: Tensor, grid: Grid, labels: Tensor) -> Choice:
    """First a column, then cells of it: the loss of both, and logits of the tokens of the likeliest column alone."""
    index = torch.arange(grid.columns, device=tokens.device)
    counts = tokens.new_zeros(tokens.shape[0], grid.columns).scatter_add(1, grid.column_of, labels.to(tokens.dtype))
    empty = counts.amax(-1) == 0
    column = torch.where(empty, 0, counts.argmax(-1))
    cells = grid.means(tokens)
    wanted = grid.largest(labels.to(tokens.dtype))
    counted = (index == column[:, None])[:, None] * grid.real
    losses = F.binary_cross_entropy_with_logits(cells, wanted, reduction="none") * counted
    inside = losses.sum((1, 2)) / (counted.sum((1, 2)) + TINY)
    loss = F.cross_entropy(columns, column, reduction="none") + torch.where(empty, 0.0, inside)
    likeliest = columns.argmax(-1)
    chosen = ((index == likeliest[:, None]) & (index > 0))[:, None] * grid.real
    return Choice(grid.spread(cells + NEVER * (1 - chosen)), loss)
