"""How good the embeddings of a `SentenceTransformer` are: numbers by name, kept in a table while `fit` trains."""

from samovar.sentence.evaluators.base import Evaluator
from samovar.sentence.evaluators.retrieval import InformationRetrievalEvaluator
from samovar.sentence.evaluators.similarity import EmbeddingSimilarityEvaluator
from samovar.sentence.evaluators.triplet import TripletEvaluator

__all__ = ["EmbeddingSimilarityEvaluator", "Evaluator", "InformationRetrievalEvaluator", "TripletEvaluator"]
