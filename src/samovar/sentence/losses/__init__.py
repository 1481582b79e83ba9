"""What a `SentenceTransformer` is trained to make small: losses over embeddings of columns of texts.

A batch has a column per role (anchor, positive, negative, …). Each column is what `model.tokenize` gives; a loss embeds
all of them and compares the results. `fit` and any loop of your own call `loss(columns, labels)`.
"""

from samovar.sentence.losses.base import Loss
from samovar.sentence.losses.cached import CachedMultipleNegativesRankingLoss
from samovar.sentence.losses.matryoshka import MatryoshkaLoss
from samovar.sentence.losses.pairs import ContrastiveLoss, CosineSimilarityLoss, SiameseDistanceMetric
from samovar.sentence.losses.ranking import MultipleNegativesRankingLoss
from samovar.sentence.losses.triplet import TripletDistanceMetric, TripletLoss

__all__ = [
    "CachedMultipleNegativesRankingLoss", "ContrastiveLoss", "CosineSimilarityLoss", "Loss", "MatryoshkaLoss",
    "MultipleNegativesRankingLoss", "SiameseDistanceMetric", "TripletDistanceMetric", "TripletLoss",
]  # fmt: skip
