from .formats import FORMATS as FORMATS
from .jax_format import to_jax as to_jax
from .run import Exported as Exported
from .run import export_model as export_model
