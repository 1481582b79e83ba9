"""Search for the arguments that train best: one function over several libraries that choose what to try next."""

from samovar.training.search.backends import HPSearchBackend, hyperparameter_search
from samovar.training.search.spaces import (
    default_compute_objective,
    default_hp_space_optuna,
    default_hp_space_ray,
    default_hp_space_wandb,
)
from samovar.training.search.trials import BestRun, SearchError

__all__ = [
    "BestRun",
    "HPSearchBackend",
    "SearchError",
    "default_compute_objective",
    "default_hp_space_optuna",
    "default_hp_space_ray",
    "default_hp_space_wandb",
    "hyperparameter_search",
]
