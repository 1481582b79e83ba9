"""Measured values into the model card of a repository, where model pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from samovar.evaluate.columns import MetricError
from samovar.hub.publish import Destination, card_there, checked
from samovar.hub.refusals import Token, refusals

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, EvalResult


def push_to_hub(
    model_id: str,
    task_type: str,
    dataset_type: str,
    dataset_name: str,
    metric_type: str,
    metric_name: str,
    metric_value: float,
    task_name: str | None = None,
    dataset_config: str | None = None,
    dataset_split: str | None = None,
    dataset_revision: str | None = None,
    dataset_args: dict[str, Any] | None = None,
    metric_config: str | None = None,
    metric_args: dict[str, Any] | None = None,
    overwrite: bool = False,
    *,
    token: Token = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """Write one value into a model's card, as an entry of its `model-index`; the commit.

    `dataset_type` is the data set's id, `metric_type` the metric's. The card's text stays; it is made where there is
    none. Raises `MetricError` when another value stands there for the same measure and `overwrite` is not set, and
    `HubError`.
    """
    from huggingface_hub import EvalResult

    result = EvalResult(
        task_type=task_type, dataset_type=dataset_type, dataset_name=dataset_name, metric_type=metric_type,
        metric_value=metric_value, metric_name=metric_name, task_name=task_name, dataset_config=dataset_config,
        dataset_split=dataset_split, dataset_revision=dataset_revision, dataset_args=dataset_args,
        metric_config=metric_config, metric_args=metric_args,
    )  # fmt: skip
    return push_results(model_id, [result], overwrite, token, revision, create_pr)


def push_results(
    model_id: str,
    results: Sequence[EvalResult],
    overwrite: bool = False,
    token: Token = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """Several values, as one commit."""
    from huggingface_hub import CommitOperationAdd, HfApi

    from samovar.hub.card import About, ModelCard, new_card, same_measure
    from samovar.hub.publish import CARD

    checked(Destination(model_id, token=token))
    api = HfApi(token=token)
    with refusals("Writing results to", model_id, token):
        there = card_there(api, model_id, revision)
        card = ModelCard(new_card(About(model_id)) if there is None else there)
        for one in results:
            for other in card.results:
                if same_measure(one, other) and one.metric_value != other.metric_value and not overwrite:
                    raise MetricError(
                        f"The card of {model_id} says {other.metric_type} {other.metric_value} on "
                        f"{other.dataset_name}; the new value is {one.metric_value}.",
                        "Pass overwrite=True to replace it.",
                    )
        card.put(results)
        metrics = {one.metric_type for one in results}
        card.data.metrics = sorted({*(card.data.get("metrics") or []), *metrics})
        return api.create_commit(
            model_id,
            [CommitOperationAdd(CARD, str(card).encode())],
            commit_message=f"Add results: {', '.join(sorted(metrics))}",
            revision=revision,
            create_pr=create_pr,
        )


def entries(values: Mapping[str, Any], task_type: str, where: Mapping[str, Any]) -> list[EvalResult]:
    """All numbers of a result as entries. Raises `MetricError` if there is none."""
    from samovar.hub.card import results_of

    found = results_of(values, task_type, **where)
    if not found:
        raise MetricError("None of these results is a number.", "Choose an average, or one class, first.")
    return found
