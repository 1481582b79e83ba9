"""The public names of `samovar.evaluate`; the lazy loader reads them here."""

from .columns import MetricError as MetricError
from .core import CombinedMetrics as CombinedMetrics
from .core import Metric as Metric
from .core import combine as combine
from .core import list_metrics as list_metrics
from .core import load as load
from .evaluators import Evaluator as Evaluator
from .evaluators import evaluator as evaluator
from .publish import push_to_hub as push_to_hub
from .results import Results as Results
from .results import save as save
from .spec import metric as metric
