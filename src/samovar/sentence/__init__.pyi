"""The public names of `samovar.sentence`; the lazy loader reads them here."""

from . import evaluators as evaluators
from . import losses as losses
from . import modules as modules
from . import search as search
from .clusters import community_detection as community_detection
from .clusters import paraphrase_mining as paraphrase_mining
from .clusters import paraphrase_mining_embeddings as paraphrase_mining_embeddings
from .cross_encoder import CrossEncoder as CrossEncoder
from .fit import InputExample as InputExample
from .model import SentenceTransformer as SentenceTransformer
from .precision import quantize_embeddings as quantize_embeddings
from .search import semantic_search as semantic_search
from .similarity import SimilarityFunction as SimilarityFunction
from .similarity import cos_sim as cos_sim
from .similarity import dot_score as dot_score
from .similarity import euclidean_sim as euclidean_sim
from .similarity import manhattan_sim as manhattan_sim
from .trainer import SentenceTransformerTrainer as SentenceTransformerTrainer

# The names that these modules have in the field.
evaluation = evaluators
models = modules
util = search
