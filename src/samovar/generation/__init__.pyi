"""The public names of `samovar.generation`; the lazy loader reads them here."""

from .config import GenerationConfig as GenerationConfig
from .constraints import ForcedBOSTokenLogitsProcessor as ForcedBOSTokenLogitsProcessor
from .constraints import ForcedEOSTokenLogitsProcessor as ForcedEOSTokenLogitsProcessor
from .constraints import MinLengthLogitsProcessor as MinLengthLogitsProcessor
from .constraints import MinNewTokensLengthLogitsProcessor as MinNewTokensLengthLogitsProcessor
from .constraints import PrefixConstrainedLogitsProcessor as PrefixConstrainedLogitsProcessor
from .constraints import SuppressTokensAtBeginLogitsProcessor as SuppressTokensAtBeginLogitsProcessor
from .constraints import SuppressTokensLogitsProcessor as SuppressTokensLogitsProcessor
from .guidance import (
    UnbatchedClassifierFreeGuidanceLogitsProcessor as UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
from .manager import ContinuousBatchingManager as ContinuousBatchingManager
from .mixin import GenerationMixin as GenerationMixin
from .outputs import GenerateBeamDecoderOnlyOutput as GenerateBeamDecoderOnlyOutput
from .outputs import GenerateBeamEncoderDecoderOutput as GenerateBeamEncoderDecoderOutput
from .outputs import GenerateDecoderOnlyOutput as GenerateDecoderOnlyOutput
from .outputs import GenerateEncoderDecoderOutput as GenerateEncoderDecoderOutput
from .penalties import EncoderNoRepeatNGramLogitsProcessor as EncoderNoRepeatNGramLogitsProcessor
from .penalties import EncoderRepetitionPenaltyLogitsProcessor as EncoderRepetitionPenaltyLogitsProcessor
from .penalties import ExponentialDecayLengthPenalty as ExponentialDecayLengthPenalty
from .penalties import NoBadWordsLogitsProcessor as NoBadWordsLogitsProcessor
from .penalties import NoRepeatNGramLogitsProcessor as NoRepeatNGramLogitsProcessor
from .penalties import RepetitionPenaltyLogitsProcessor as RepetitionPenaltyLogitsProcessor
from .penalties import SequenceBiasLogitsProcessor as SequenceBiasLogitsProcessor
from .processors import LogitsProcessor as LogitsProcessor
from .processors import LogitsProcessorList as LogitsProcessorList
from .requests import ContinuousBatchingConfig as ContinuousBatchingConfig
from .requests import GenerationOutput as GenerationOutput
from .requests import RequestStatus as RequestStatus
from .stopping import EosTokenCriteria as EosTokenCriteria
from .stopping import MaxLengthCriteria as MaxLengthCriteria
from .stopping import MaxTimeCriteria as MaxTimeCriteria
from .stopping import StoppingCriteria as StoppingCriteria
from .stopping import StoppingCriteriaList as StoppingCriteriaList
from .stopping import StopStringCriteria as StopStringCriteria
from .streamers import AsyncTextIteratorStreamer as AsyncTextIteratorStreamer
from .streamers import BaseStreamer as BaseStreamer
from .streamers import TextIteratorStreamer as TextIteratorStreamer
from .streamers import TextStreamer as TextStreamer
from .warpers import EpsilonLogitsWarper as EpsilonLogitsWarper
from .warpers import EtaLogitsWarper as EtaLogitsWarper
from .warpers import InfNanRemoveLogitsProcessor as InfNanRemoveLogitsProcessor
from .warpers import LogitNormalization as LogitNormalization
from .warpers import MinPLogitsWarper as MinPLogitsWarper
from .warpers import TemperatureLogitsWarper as TemperatureLogitsWarper
from .warpers import TopHLogitsWarper as TopHLogitsWarper
from .warpers import TopKLogitsWarper as TopKLogitsWarper
from .warpers import TopPLogitsWarper as TopPLogitsWarper
from .warpers import TypicalLogitsWarper as TypicalLogitsWarper
