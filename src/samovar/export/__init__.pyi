from .formats import FORMATS as FORMATS
from .run import Exported as Exported
from .run import export_model as export_model
