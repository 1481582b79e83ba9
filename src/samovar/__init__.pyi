"""The public names, declared once: type checkers read this file, and so does the lazy loader of `__init__`."""

from . import adapters as adapters
from . import evaluate as evaluate
from . import generation as generation
from . import sentence as sentence
from .adapters.config import LoraConfig as LoraConfig
from .adapters.config import TaskType as TaskType
from .adapters.model import PeftModel as PeftModel
from .adapters.model import get_peft_model as get_peft_model
from .architectures.albert import AlbertConfig as AlbertConfig
from .architectures.albert import AlbertForMaskedLM as AlbertForMaskedLM
from .architectures.albert import AlbertForMultipleChoice as AlbertForMultipleChoice
from .architectures.albert import AlbertForPreTraining as AlbertForPreTraining
from .architectures.albert import AlbertForQuestionAnswering as AlbertForQuestionAnswering
from .architectures.albert import AlbertForSequenceClassification as AlbertForSequenceClassification
from .architectures.albert import AlbertForTokenClassification as AlbertForTokenClassification
from .architectures.albert import AlbertModel as AlbertModel
from .architectures.bart import BartConfig as BartConfig
from .architectures.bart import BartDecoder as BartDecoder
from .architectures.bart import BartEncoder as BartEncoder
from .architectures.bart import BartForCausalLM as BartForCausalLM
from .architectures.bart import BartForConditionalGeneration as BartForConditionalGeneration
from .architectures.bart import BartForQuestionAnswering as BartForQuestionAnswering
from .architectures.bart import BartForSequenceClassification as BartForSequenceClassification
from .architectures.bart import BartModel as BartModel
from .architectures.bert import BertConfig as BertConfig
from .architectures.bert import BertForMaskedLM as BertForMaskedLM
from .architectures.bert import BertForMultipleChoice as BertForMultipleChoice
from .architectures.bert import BertForNextSentencePrediction as BertForNextSentencePrediction
from .architectures.bert import BertForPreTraining as BertForPreTraining
from .architectures.bert import BertForQuestionAnswering as BertForQuestionAnswering
from .architectures.bert import BertForSequenceClassification as BertForSequenceClassification
from .architectures.bert import BertForTokenClassification as BertForTokenClassification
from .architectures.bert import BertLMHeadModel as BertLMHeadModel
from .architectures.bert import BertModel as BertModel
from .architectures.bloom import BloomConfig as BloomConfig
from .architectures.bloom import BloomForCausalLM as BloomForCausalLM
from .architectures.bloom import BloomForQuestionAnswering as BloomForQuestionAnswering
from .architectures.bloom import BloomForSequenceClassification as BloomForSequenceClassification
from .architectures.bloom import BloomForTokenClassification as BloomForTokenClassification
from .architectures.bloom import BloomModel as BloomModel
from .architectures.convnext import ConvNextConfig as ConvNextConfig
from .architectures.convnext import ConvNextForImageClassification as ConvNextForImageClassification
from .architectures.convnext import ConvNextModel as ConvNextModel
from .architectures.deberta_v2 import DebertaV2Config as DebertaV2Config
from .architectures.deberta_v2 import DebertaV2ForMaskedLM as DebertaV2ForMaskedLM
from .architectures.deberta_v2 import DebertaV2ForMultipleChoice as DebertaV2ForMultipleChoice
from .architectures.deberta_v2 import DebertaV2ForQuestionAnswering as DebertaV2ForQuestionAnswering
from .architectures.deberta_v2 import DebertaV2ForSequenceClassification as DebertaV2ForSequenceClassification
from .architectures.deberta_v2 import DebertaV2ForTokenClassification as DebertaV2ForTokenClassification
from .architectures.deberta_v2 import DebertaV2Model as DebertaV2Model
from .architectures.deit import DeiTConfig as DeiTConfig
from .architectures.deit import DeiTForImageClassification as DeiTForImageClassification
from .architectures.deit import DeiTForImageClassificationWithTeacher as DeiTForImageClassificationWithTeacher
from .architectures.deit import DeiTModel as DeiTModel
from .architectures.dinov2 import Dinov2Config as Dinov2Config
from .architectures.dinov2 import Dinov2ForImageClassification as Dinov2ForImageClassification
from .architectures.dinov2 import Dinov2Model as Dinov2Model
from .architectures.distilbert import DistilBertConfig as DistilBertConfig
from .architectures.distilbert import DistilBertForMaskedLM as DistilBertForMaskedLM
from .architectures.distilbert import DistilBertForMultipleChoice as DistilBertForMultipleChoice
from .architectures.distilbert import DistilBertForQuestionAnswering as DistilBertForQuestionAnswering
from .architectures.distilbert import DistilBertForSequenceClassification as DistilBertForSequenceClassification
from .architectures.distilbert import DistilBertForTokenClassification as DistilBertForTokenClassification
from .architectures.distilbert import DistilBertModel as DistilBertModel
from .architectures.electra import ElectraConfig as ElectraConfig
from .architectures.electra import ElectraForCausalLM as ElectraForCausalLM
from .architectures.electra import ElectraForMaskedLM as ElectraForMaskedLM
from .architectures.electra import ElectraForMultipleChoice as ElectraForMultipleChoice
from .architectures.electra import ElectraForPreTraining as ElectraForPreTraining
from .architectures.electra import ElectraForQuestionAnswering as ElectraForQuestionAnswering
from .architectures.electra import ElectraForSequenceClassification as ElectraForSequenceClassification
from .architectures.electra import ElectraForTokenClassification as ElectraForTokenClassification
from .architectures.electra import ElectraModel as ElectraModel
from .architectures.encoder_decoder import EncoderDecoderConfig as EncoderDecoderConfig
from .architectures.encoder_decoder import EncoderDecoderModel as EncoderDecoderModel
from .architectures.falcon import FalconConfig as FalconConfig
from .architectures.falcon import FalconForCausalLM as FalconForCausalLM
from .architectures.falcon import FalconForQuestionAnswering as FalconForQuestionAnswering
from .architectures.falcon import FalconForSequenceClassification as FalconForSequenceClassification
from .architectures.falcon import FalconForTokenClassification as FalconForTokenClassification
from .architectures.falcon import FalconModel as FalconModel
from .architectures.gemma2 import Gemma2Config as Gemma2Config
from .architectures.gemma2 import Gemma2ForCausalLM as Gemma2ForCausalLM
from .architectures.gemma2 import Gemma2ForSequenceClassification as Gemma2ForSequenceClassification
from .architectures.gemma2 import Gemma2ForTokenClassification as Gemma2ForTokenClassification
from .architectures.gemma2 import Gemma2Model as Gemma2Model
from .architectures.gemma3 import Gemma3ForCausalLM as Gemma3ForCausalLM
from .architectures.gemma3 import Gemma3TextConfig as Gemma3TextConfig
from .architectures.gemma3 import Gemma3TextForSequenceClassification as Gemma3TextForSequenceClassification
from .architectures.gemma3 import Gemma3TextModel as Gemma3TextModel
from .architectures.gpt2 import GPT2Config as GPT2Config
from .architectures.gpt2 import GPT2DoubleHeadsModel as GPT2DoubleHeadsModel
from .architectures.gpt2 import GPT2ForQuestionAnswering as GPT2ForQuestionAnswering
from .architectures.gpt2 import GPT2ForSequenceClassification as GPT2ForSequenceClassification
from .architectures.gpt2 import GPT2ForTokenClassification as GPT2ForTokenClassification
from .architectures.gpt2 import GPT2LMHeadModel as GPT2LMHeadModel
from .architectures.gpt2 import GPT2Model as GPT2Model
from .architectures.gpt_neox import GPTNeoXConfig as GPTNeoXConfig
from .architectures.gpt_neox import GPTNeoXForCausalLM as GPTNeoXForCausalLM
from .architectures.gpt_neox import GPTNeoXForQuestionAnswering as GPTNeoXForQuestionAnswering
from .architectures.gpt_neox import GPTNeoXForSequenceClassification as GPTNeoXForSequenceClassification
from .architectures.gpt_neox import GPTNeoXForTokenClassification as GPTNeoXForTokenClassification
from .architectures.gpt_neox import GPTNeoXModel as GPTNeoXModel
from .architectures.llama import LlamaConfig as LlamaConfig
from .architectures.llama import LlamaForCausalLM as LlamaForCausalLM
from .architectures.llama import LlamaForQuestionAnswering as LlamaForQuestionAnswering
from .architectures.llama import LlamaForSequenceClassification as LlamaForSequenceClassification
from .architectures.llama import LlamaForTokenClassification as LlamaForTokenClassification
from .architectures.llama import LlamaModel as LlamaModel
from .architectures.longformer import LongformerConfig as LongformerConfig
from .architectures.longformer import LongformerForMaskedLM as LongformerForMaskedLM
from .architectures.longformer import LongformerForMultipleChoice as LongformerForMultipleChoice
from .architectures.longformer import LongformerForQuestionAnswering as LongformerForQuestionAnswering
from .architectures.longformer import LongformerForSequenceClassification as LongformerForSequenceClassification
from .architectures.longformer import LongformerForTokenClassification as LongformerForTokenClassification
from .architectures.longformer import LongformerModel as LongformerModel
from .architectures.m2m_100 import M2M100Config as M2M100Config
from .architectures.m2m_100 import M2M100ForConditionalGeneration as M2M100ForConditionalGeneration
from .architectures.m2m_100 import M2M100Model as M2M100Model
from .architectures.marian import MarianConfig as MarianConfig
from .architectures.marian import MarianDecoder as MarianDecoder
from .architectures.marian import MarianForCausalLM as MarianForCausalLM
from .architectures.marian import MarianModel as MarianModel
from .architectures.marian import MarianMTModel as MarianMTModel
from .architectures.mbart import MBartConfig as MBartConfig
from .architectures.mbart import MBartDecoder as MBartDecoder
from .architectures.mbart import MBartForCausalLM as MBartForCausalLM
from .architectures.mbart import MBartForConditionalGeneration as MBartForConditionalGeneration
from .architectures.mbart import MBartForQuestionAnswering as MBartForQuestionAnswering
from .architectures.mbart import MBartForSequenceClassification as MBartForSequenceClassification
from .architectures.mbart import MBartModel as MBartModel
from .architectures.mistral import MistralConfig as MistralConfig
from .architectures.mistral import MistralForCausalLM as MistralForCausalLM
from .architectures.mistral import MistralForQuestionAnswering as MistralForQuestionAnswering
from .architectures.mistral import MistralForSequenceClassification as MistralForSequenceClassification
from .architectures.mistral import MistralForTokenClassification as MistralForTokenClassification
from .architectures.mistral import MistralModel as MistralModel
from .architectures.mixtral import MixtralConfig as MixtralConfig
from .architectures.mixtral import MixtralForCausalLM as MixtralForCausalLM
from .architectures.mixtral import MixtralForQuestionAnswering as MixtralForQuestionAnswering
from .architectures.mixtral import MixtralForSequenceClassification as MixtralForSequenceClassification
from .architectures.mixtral import MixtralForTokenClassification as MixtralForTokenClassification
from .architectures.mixtral import MixtralModel as MixtralModel
from .architectures.modernbert import ModernBertConfig as ModernBertConfig
from .architectures.modernbert import ModernBertForMaskedLM as ModernBertForMaskedLM
from .architectures.modernbert import ModernBertForMultipleChoice as ModernBertForMultipleChoice
from .architectures.modernbert import ModernBertForQuestionAnswering as ModernBertForQuestionAnswering
from .architectures.modernbert import ModernBertForSequenceClassification as ModernBertForSequenceClassification
from .architectures.modernbert import ModernBertForTokenClassification as ModernBertForTokenClassification
from .architectures.modernbert import ModernBertModel as ModernBertModel
from .architectures.mpnet import MPNetConfig as MPNetConfig
from .architectures.mpnet import MPNetForMaskedLM as MPNetForMaskedLM
from .architectures.mpnet import MPNetForMultipleChoice as MPNetForMultipleChoice
from .architectures.mpnet import MPNetForQuestionAnswering as MPNetForQuestionAnswering
from .architectures.mpnet import MPNetForSequenceClassification as MPNetForSequenceClassification
from .architectures.mpnet import MPNetForTokenClassification as MPNetForTokenClassification
from .architectures.mpnet import MPNetModel as MPNetModel
from .architectures.mt5 import MT5Config as MT5Config
from .architectures.mt5 import MT5EncoderModel as MT5EncoderModel
from .architectures.mt5 import MT5ForConditionalGeneration as MT5ForConditionalGeneration
from .architectures.mt5 import MT5ForQuestionAnswering as MT5ForQuestionAnswering
from .architectures.mt5 import MT5ForSequenceClassification as MT5ForSequenceClassification
from .architectures.mt5 import MT5ForTokenClassification as MT5ForTokenClassification
from .architectures.mt5 import MT5Model as MT5Model
from .architectures.olmo2 import Olmo2Config as Olmo2Config
from .architectures.olmo2 import Olmo2ForCausalLM as Olmo2ForCausalLM
from .architectures.olmo2 import Olmo2ForSequenceClassification as Olmo2ForSequenceClassification
from .architectures.olmo2 import Olmo2Model as Olmo2Model
from .architectures.opt import OPTConfig as OPTConfig
from .architectures.opt import OPTForCausalLM as OPTForCausalLM
from .architectures.opt import OPTForQuestionAnswering as OPTForQuestionAnswering
from .architectures.opt import OPTForSequenceClassification as OPTForSequenceClassification
from .architectures.opt import OPTModel as OPTModel
from .architectures.pegasus import PegasusConfig as PegasusConfig
from .architectures.pegasus import PegasusDecoder as PegasusDecoder
from .architectures.pegasus import PegasusForCausalLM as PegasusForCausalLM
from .architectures.pegasus import PegasusForConditionalGeneration as PegasusForConditionalGeneration
from .architectures.pegasus import PegasusModel as PegasusModel
from .architectures.phi3 import Phi3Config as Phi3Config
from .architectures.phi3 import Phi3ForCausalLM as Phi3ForCausalLM
from .architectures.phi3 import Phi3ForSequenceClassification as Phi3ForSequenceClassification
from .architectures.phi3 import Phi3ForTokenClassification as Phi3ForTokenClassification
from .architectures.phi3 import Phi3Model as Phi3Model
from .architectures.qwen2 import Qwen2Config as Qwen2Config
from .architectures.qwen2 import Qwen2ForCausalLM as Qwen2ForCausalLM
from .architectures.qwen2 import Qwen2ForQuestionAnswering as Qwen2ForQuestionAnswering
from .architectures.qwen2 import Qwen2ForSequenceClassification as Qwen2ForSequenceClassification
from .architectures.qwen2 import Qwen2ForTokenClassification as Qwen2ForTokenClassification
from .architectures.qwen2 import Qwen2Model as Qwen2Model
from .architectures.qwen3 import Qwen3Config as Qwen3Config
from .architectures.qwen3 import Qwen3ForCausalLM as Qwen3ForCausalLM
from .architectures.qwen3 import Qwen3ForQuestionAnswering as Qwen3ForQuestionAnswering
from .architectures.qwen3 import Qwen3ForSequenceClassification as Qwen3ForSequenceClassification
from .architectures.qwen3 import Qwen3ForTokenClassification as Qwen3ForTokenClassification
from .architectures.qwen3 import Qwen3Model as Qwen3Model
from .architectures.qwen3_moe import Qwen3MoeConfig as Qwen3MoeConfig
from .architectures.qwen3_moe import Qwen3MoeForCausalLM as Qwen3MoeForCausalLM
from .architectures.qwen3_moe import Qwen3MoeForQuestionAnswering as Qwen3MoeForQuestionAnswering
from .architectures.qwen3_moe import Qwen3MoeForSequenceClassification as Qwen3MoeForSequenceClassification
from .architectures.qwen3_moe import Qwen3MoeForTokenClassification as Qwen3MoeForTokenClassification
from .architectures.qwen3_moe import Qwen3MoeModel as Qwen3MoeModel
from .architectures.resnet import ResNetConfig as ResNetConfig
from .architectures.resnet import ResNetForImageClassification as ResNetForImageClassification
from .architectures.resnet import ResNetModel as ResNetModel
from .architectures.roberta import CamembertConfig as CamembertConfig
from .architectures.roberta import CamembertForCausalLM as CamembertForCausalLM
from .architectures.roberta import CamembertForMaskedLM as CamembertForMaskedLM
from .architectures.roberta import CamembertForMultipleChoice as CamembertForMultipleChoice
from .architectures.roberta import CamembertForQuestionAnswering as CamembertForQuestionAnswering
from .architectures.roberta import CamembertForSequenceClassification as CamembertForSequenceClassification
from .architectures.roberta import CamembertForTokenClassification as CamembertForTokenClassification
from .architectures.roberta import CamembertModel as CamembertModel
from .architectures.roberta import RobertaConfig as RobertaConfig
from .architectures.roberta import RobertaForCausalLM as RobertaForCausalLM
from .architectures.roberta import RobertaForMaskedLM as RobertaForMaskedLM
from .architectures.roberta import RobertaForMultipleChoice as RobertaForMultipleChoice
from .architectures.roberta import RobertaForQuestionAnswering as RobertaForQuestionAnswering
from .architectures.roberta import RobertaForSequenceClassification as RobertaForSequenceClassification
from .architectures.roberta import RobertaForTokenClassification as RobertaForTokenClassification
from .architectures.roberta import RobertaModel as RobertaModel
from .architectures.roberta import XLMRobertaConfig as XLMRobertaConfig
from .architectures.roberta import XLMRobertaForCausalLM as XLMRobertaForCausalLM
from .architectures.roberta import XLMRobertaForMaskedLM as XLMRobertaForMaskedLM
from .architectures.roberta import XLMRobertaForMultipleChoice as XLMRobertaForMultipleChoice
from .architectures.roberta import XLMRobertaForQuestionAnswering as XLMRobertaForQuestionAnswering
from .architectures.roberta import XLMRobertaForSequenceClassification as XLMRobertaForSequenceClassification
from .architectures.roberta import XLMRobertaForTokenClassification as XLMRobertaForTokenClassification
from .architectures.roberta import XLMRobertaModel as XLMRobertaModel
from .architectures.roberta_prelayernorm import RobertaPreLayerNormConfig as RobertaPreLayerNormConfig
from .architectures.roberta_prelayernorm import RobertaPreLayerNormForCausalLM as RobertaPreLayerNormForCausalLM
from .architectures.roberta_prelayernorm import RobertaPreLayerNormForMaskedLM as RobertaPreLayerNormForMaskedLM
from .architectures.roberta_prelayernorm import (
    RobertaPreLayerNormForMultipleChoice as RobertaPreLayerNormForMultipleChoice,
)
from .architectures.roberta_prelayernorm import (
    RobertaPreLayerNormForQuestionAnswering as RobertaPreLayerNormForQuestionAnswering,
)
from .architectures.roberta_prelayernorm import (
    RobertaPreLayerNormForSequenceClassification as RobertaPreLayerNormForSequenceClassification,
)
from .architectures.roberta_prelayernorm import (
    RobertaPreLayerNormForTokenClassification as RobertaPreLayerNormForTokenClassification,
)
from .architectures.roberta_prelayernorm import RobertaPreLayerNormModel as RobertaPreLayerNormModel
from .architectures.t5 import T5Config as T5Config
from .architectures.t5 import T5EncoderModel as T5EncoderModel
from .architectures.t5 import T5ForConditionalGeneration as T5ForConditionalGeneration
from .architectures.t5 import T5ForQuestionAnswering as T5ForQuestionAnswering
from .architectures.t5 import T5ForSequenceClassification as T5ForSequenceClassification
from .architectures.t5 import T5ForTokenClassification as T5ForTokenClassification
from .architectures.t5 import T5LMHead as T5LMHead
from .architectures.t5 import T5Model as T5Model
from .architectures.t5 import T5Weights as T5Weights
from .architectures.tapas import TapasConfig as TapasConfig
from .architectures.tapas import TapasForMaskedLM as TapasForMaskedLM
from .architectures.tapas import TapasForQuestionAnswering as TapasForQuestionAnswering
from .architectures.tapas import TapasForSequenceClassification as TapasForSequenceClassification
from .architectures.tapas import TapasModel as TapasModel
from .architectures.vit import ViTConfig as ViTConfig
from .architectures.vit import ViTForImageClassification as ViTForImageClassification
from .architectures.vit import ViTModel as ViTModel
from .architectures.xlnet import XLNetConfig as XLNetConfig
from .architectures.xlnet import XLNetForMultipleChoice as XLNetForMultipleChoice
from .architectures.xlnet import XLNetForQuestionAnswering as XLNetForQuestionAnswering
from .architectures.xlnet import XLNetForQuestionAnsweringSimple as XLNetForQuestionAnsweringSimple
from .architectures.xlnet import XLNetForSequenceClassification as XLNetForSequenceClassification
from .architectures.xlnet import XLNetForTokenClassification as XLNetForTokenClassification
from .architectures.xlnet import XLNetLMHeadModel as XLNetLMHeadModel
from .architectures.xlnet import XLNetModel as XLNetModel
from .auto import AutoConfig as AutoConfig
from .auto import AutoImageProcessor as AutoImageProcessor
from .auto import AutoModel as AutoModel
from .auto import AutoModelForCausalLM as AutoModelForCausalLM
from .auto import AutoModelForImageClassification as AutoModelForImageClassification
from .auto import AutoModelForMaskedLM as AutoModelForMaskedLM
from .auto import AutoModelForMultipleChoice as AutoModelForMultipleChoice
from .auto import AutoModelForNextSentencePrediction as AutoModelForNextSentencePrediction
from .auto import AutoModelForPreTraining as AutoModelForPreTraining
from .auto import AutoModelForQuestionAnswering as AutoModelForQuestionAnswering
from .auto import AutoModelForSeq2SeqLM as AutoModelForSeq2SeqLM
from .auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from .auto import AutoModelForTableQuestionAnswering as AutoModelForTableQuestionAnswering
from .auto import AutoModelForTextEncoding as AutoModelForTextEncoding
from .auto import AutoModelForTokenClassification as AutoModelForTokenClassification
from .auto import AutoTokenizer as AutoTokenizer
from .config import Config as Config
from .export.run import export_model as export_model
from .generation.config import GenerationConfig as GenerationConfig
from .generation.constraints import ForcedBOSTokenLogitsProcessor as ForcedBOSTokenLogitsProcessor
from .generation.constraints import ForcedEOSTokenLogitsProcessor as ForcedEOSTokenLogitsProcessor
from .generation.constraints import MinLengthLogitsProcessor as MinLengthLogitsProcessor
from .generation.constraints import MinNewTokensLengthLogitsProcessor as MinNewTokensLengthLogitsProcessor
from .generation.constraints import PrefixConstrainedLogitsProcessor as PrefixConstrainedLogitsProcessor
from .generation.constraints import SuppressTokensAtBeginLogitsProcessor as SuppressTokensAtBeginLogitsProcessor
from .generation.constraints import SuppressTokensLogitsProcessor as SuppressTokensLogitsProcessor
from .generation.guidance import (
    UnbatchedClassifierFreeGuidanceLogitsProcessor as UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
from .generation.manager import ContinuousBatchingManager as ContinuousBatchingManager
from .generation.mixin import GenerationMixin as GenerationMixin
from .generation.outputs import GenerateBeamDecoderOnlyOutput as GenerateBeamDecoderOnlyOutput
from .generation.outputs import GenerateBeamEncoderDecoderOutput as GenerateBeamEncoderDecoderOutput
from .generation.outputs import GenerateDecoderOnlyOutput as GenerateDecoderOnlyOutput
from .generation.outputs import GenerateEncoderDecoderOutput as GenerateEncoderDecoderOutput
from .generation.penalties import EncoderNoRepeatNGramLogitsProcessor as EncoderNoRepeatNGramLogitsProcessor
from .generation.penalties import EncoderRepetitionPenaltyLogitsProcessor as EncoderRepetitionPenaltyLogitsProcessor
from .generation.penalties import ExponentialDecayLengthPenalty as ExponentialDecayLengthPenalty
from .generation.penalties import NoBadWordsLogitsProcessor as NoBadWordsLogitsProcessor
from .generation.penalties import NoRepeatNGramLogitsProcessor as NoRepeatNGramLogitsProcessor
from .generation.penalties import RepetitionPenaltyLogitsProcessor as RepetitionPenaltyLogitsProcessor
from .generation.penalties import SequenceBiasLogitsProcessor as SequenceBiasLogitsProcessor
from .generation.processors import LogitsProcessor as LogitsProcessor
from .generation.processors import LogitsProcessorList as LogitsProcessorList
from .generation.requests import ContinuousBatchingConfig as ContinuousBatchingConfig
from .generation.stopping import EosTokenCriteria as EosTokenCriteria
from .generation.stopping import MaxLengthCriteria as MaxLengthCriteria
from .generation.stopping import MaxTimeCriteria as MaxTimeCriteria
from .generation.stopping import StoppingCriteria as StoppingCriteria
from .generation.stopping import StoppingCriteriaList as StoppingCriteriaList
from .generation.stopping import StopStringCriteria as StopStringCriteria
from .generation.streamers import AsyncTextIteratorStreamer as AsyncTextIteratorStreamer
from .generation.streamers import BaseStreamer as BaseStreamer
from .generation.streamers import TextIteratorStreamer as TextIteratorStreamer
from .generation.streamers import TextStreamer as TextStreamer
from .generation.warpers import EpsilonLogitsWarper as EpsilonLogitsWarper
from .generation.warpers import EtaLogitsWarper as EtaLogitsWarper
from .generation.warpers import InfNanRemoveLogitsProcessor as InfNanRemoveLogitsProcessor
from .generation.warpers import LogitNormalization as LogitNormalization
from .generation.warpers import MinPLogitsWarper as MinPLogitsWarper
from .generation.warpers import TemperatureLogitsWarper as TemperatureLogitsWarper
from .generation.warpers import TopHLogitsWarper as TopHLogitsWarper
from .generation.warpers import TopKLogitsWarper as TopKLogitsWarper
from .generation.warpers import TopPLogitsWarper as TopPLogitsWarper
from .generation.warpers import TypicalLogitsWarper as TypicalLogitsWarper
from .hub.card import ModelCard as ModelCard
from .model import Model as Model
from .nn.cache import Cache as Cache
from .nn.cache import DynamicCache as DynamicCache
from .nn.cache import EncoderDecoderCache as EncoderDecoderCache
from .nn.int8 import quantize as quantize
from .nn.int8_cache import Int8Cache as Int8Cache
from .pipelines import Pipeline as Pipeline
from .pipelines import pipeline as pipeline
from .sentence.cross_encoder import CrossEncoder as CrossEncoder
from .sentence.model import SentenceTransformer as SentenceTransformer
from .text.encoding import BatchEncoding as BatchEncoding
from .text.families import BartTokenizer as BartTokenizer
from .text.families import BloomTokenizer as BloomTokenizer
from .text.families import GPT2Tokenizer as GPT2Tokenizer
from .text.families import GPTNeoXTokenizer as GPTNeoXTokenizer
from .text.families import LongformerTokenizer as LongformerTokenizer
from .text.families import PreTrainedTokenizerFast as PreTrainedTokenizerFast
from .text.families import Qwen2Tokenizer as Qwen2Tokenizer
from .text.families import RobertaTokenizer as RobertaTokenizer
from .text.marian import MarianTokenizer as MarianTokenizer
from .text.multilingual import M2M100Tokenizer as M2M100Tokenizer
from .text.multilingual import MBart50Tokenizer as MBart50Tokenizer
from .text.multilingual import MBartTokenizer as MBartTokenizer
from .text.multilingual import NllbTokenizer as NllbTokenizer
from .text.tables import TapasTokenizer as TapasTokenizer
from .text.tokenizer import Tokenizer as Tokenizer
from .text.unigrams import AlbertTokenizer as AlbertTokenizer
from .text.unigrams import CamembertTokenizer as CamembertTokenizer
from .text.unigrams import DebertaV2Tokenizer as DebertaV2Tokenizer
from .text.unigrams import GemmaTokenizer as GemmaTokenizer
from .text.unigrams import LlamaTokenizer as LlamaTokenizer
from .text.unigrams import MT5Tokenizer as MT5Tokenizer
from .text.unigrams import PegasusTokenizer as PegasusTokenizer
from .text.unigrams import T5Tokenizer as T5Tokenizer
from .text.unigrams import XLMRobertaTokenizer as XLMRobertaTokenizer
from .text.unigrams import XLNetTokenizer as XLNetTokenizer
from .text.wordpieces import BertTokenizer as BertTokenizer
from .text.wordpieces import DistilBertTokenizer as DistilBertTokenizer
from .text.wordpieces import ElectraTokenizer as ElectraTokenizer
from .text.wordpieces import MPNetTokenizer as MPNetTokenizer
from .training.arguments import Seq2SeqTrainingArguments as Seq2SeqTrainingArguments
from .training.arguments import TrainingArguments as TrainingArguments
from .training.callbacks import DefaultFlowCallback as DefaultFlowCallback
from .training.callbacks import EarlyStoppingCallback as EarlyStoppingCallback
from .training.callbacks import PrinterCallback as PrinterCallback
from .training.callbacks import ProgressCallback as ProgressCallback
from .training.callbacks import TrainerCallback as TrainerCallback
from .training.callbacks import TrainerControl as TrainerControl
from .training.callbacks import TrainerState as TrainerState
from .training.checkpoints import get_last_checkpoint as get_last_checkpoint
from .training.collators import DataCollatorForLanguageModeling as DataCollatorForLanguageModeling
from .training.collators import DataCollatorForMultipleChoice as DataCollatorForMultipleChoice
from .training.collators import DataCollatorForSeq2Seq as DataCollatorForSeq2Seq
from .training.collators import DataCollatorForTokenClassification as DataCollatorForTokenClassification
from .training.collators import DataCollatorWithPadding as DataCollatorWithPadding
from .training.collators import DefaultDataCollator as DefaultDataCollator
from .training.collators import default_data_collator as default_data_collator
from .training.evaluation import EvalPrediction as EvalPrediction
from .training.schedules import SchedulerType as SchedulerType
from .training.schedules import get_constant_schedule as get_constant_schedule
from .training.schedules import get_constant_schedule_with_warmup as get_constant_schedule_with_warmup
from .training.schedules import (
    get_cosine_schedule_with_warmup as get_cosine_schedule_with_warmup,
)
from .training.schedules import get_linear_schedule_with_warmup as get_linear_schedule_with_warmup
from .training.schedules import get_scheduler as get_scheduler
from .training.search import BestRun as BestRun
from .training.sequences import Seq2SeqTrainer as Seq2SeqTrainer
from .training.trainer import Trainer as Trainer
from .vision.families import BitImageProcessor as BitImageProcessor
from .vision.families import ConvNextImageProcessor as ConvNextImageProcessor
from .vision.families import DeiTImageProcessor as DeiTImageProcessor
from .vision.families import ViTImageProcessor as ViTImageProcessor
from .vision.processor import ImageProcessor as ImageProcessor

__version__: str

# The field's name for any adapter's configuration, of which LoRA's is the one here.
PeftConfig = LoraConfig

# There is one kind of each tokenizer; the names of old stay importable.
AlbertTokenizerFast = AlbertTokenizer
BartTokenizerFast = BartTokenizer
BertTokenizerFast = BertTokenizer
BloomTokenizerFast = BloomTokenizer
CamembertTokenizerFast = CamembertTokenizer
DebertaV2TokenizerFast = DebertaV2Tokenizer
DistilBertTokenizerFast = DistilBertTokenizer
ElectraTokenizerFast = ElectraTokenizer
GPT2TokenizerFast = GPT2Tokenizer
GPTNeoXTokenizerFast = GPTNeoXTokenizer
GemmaTokenizerFast = GemmaTokenizer
LlamaTokenizerFast = LlamaTokenizer
LongformerTokenizerFast = LongformerTokenizer
M2M100TokenizerFast = M2M100Tokenizer
MBart50TokenizerFast = MBart50Tokenizer
MBartTokenizerFast = MBartTokenizer
MPNetTokenizerFast = MPNetTokenizer
MT5TokenizerFast = MT5Tokenizer
MarianTokenizerFast = MarianTokenizer
NllbTokenizerFast = NllbTokenizer
PegasusTokenizerFast = PegasusTokenizer
Qwen2TokenizerFast = Qwen2Tokenizer
RobertaTokenizerFast = RobertaTokenizer
T5TokenizerFast = T5Tokenizer
TapasTokenizerFast = TapasTokenizer
XLMRobertaTokenizerFast = XLMRobertaTokenizer
XLNetTokenizerFast = XLNetTokenizer
