"""The public names of `samovar.adapters`; the lazy loader reads them here."""

from .config import LoraConfig as LoraConfig
from .config import PeftConfig as PeftConfig
from .config import PeftType as PeftType
from .config import TaskType as TaskType
from .layers import LoraLayer as LoraLayer
from .model import PeftModel as PeftModel
from .model import get_peft_model as get_peft_model
