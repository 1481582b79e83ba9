"""The field's tasks: their ids, and which one an architecture's name says it was made for."""

from __future__ import annotations

TASKS: dict[str, tuple[str, ...]] = {
    "nlp": (
        "text-classification", "token-classification", "table-question-answering", "question-answering",
        "zero-shot-classification", "translation", "summarization", "feature-extraction", "text-generation",
        "text2text-generation", "fill-mask", "sentence-similarity", "text-ranking", "text-retrieval", "multiple-choice",
        "table-to-text",
    ),
    "cv": (
        "depth-estimation", "image-classification", "object-detection", "image-segmentation", "text-to-image",
        "image-to-text", "image-to-image", "image-to-video", "unconditional-image-generation", "video-classification",
        "text-to-video", "zero-shot-image-classification", "mask-generation", "zero-shot-object-detection",
        "text-to-3d", "image-to-3d", "image-feature-extraction", "keypoint-detection", "keypoint-matching",
        "video-to-video",
    ),
    "audio": (
        "text-to-speech", "text-to-audio", "automatic-speech-recognition", "audio-to-audio", "audio-classification",
        "zero-shot-audio-classification", "voice-activity-detection",
    ),
    "multimodal": (
        "audio-text-to-text", "image-text-to-text", "image-text-to-image", "visual-question-answering",
        "document-question-answering", "video-text-to-text", "visual-document-retrieval", "any-to-any",
    ),
    "rl": ("reinforcement-learning", "robotics"),
    "tabular": ("tabular-classification", "tabular-regression", "tabular-to-text", "time-series-forecasting"),
    "other": ("graph-ml", "other"),
}  # fmt: skip
"""Group → tasks."""
GROUP_OF: dict[str, str] = {task: group for group, tasks in TASKS.items() for task in tasks}

HEADS: tuple[tuple[str, str], ...] = (
    ("ForSequenceClassification", "text-classification"),
    ("ForTokenClassification", "token-classification"),
    ("ForTableQuestionAnswering", "table-question-answering"),
    ("ForDocumentQuestionAnswering", "document-question-answering"),
    ("ForVisualQuestionAnswering", "visual-question-answering"),
    ("ForQuestionAnsweringSimple", "question-answering"),
    ("ForQuestionAnswering", "question-answering"),
    ("ForMultipleChoice", "multiple-choice"),
    ("ForMaskedLM", "fill-mask"),
    ("ForCausalLM", "text-generation"),
    ("LMHeadModel", "text-generation"),
    ("ForSpeechSeq2Seq", "automatic-speech-recognition"),
    ("ForCTC", "automatic-speech-recognition"),
    ("ForAudioClassification", "audio-classification"),
    ("ForTextToWaveform", "text-to-audio"),
    ("ForImageClassificationWithTeacher", "image-classification"),
    ("ForImageClassification", "image-classification"),
    ("ForVideoClassification", "video-classification"),
    ("ForObjectDetection", "object-detection"),
    ("ForSemanticSegmentation", "image-segmentation"),
    ("ForInstanceSegmentation", "image-segmentation"),
    ("ForUniversalSegmentation", "image-segmentation"),
    ("ForImageSegmentation", "image-segmentation"),
    ("ForDepthEstimation", "depth-estimation"),
    ("ForMaskGeneration", "mask-generation"),
    ("ForZeroShotObjectDetection", "zero-shot-object-detection"),
    ("ForZeroShotImageClassification", "zero-shot-image-classification"),
    ("ForVision2Seq", "image-to-text"),
    ("ForImageTextToText", "image-text-to-text"),
    ("ForTimeSeriesPrediction", "time-series-forecasting"),
)
"""End of an architecture's name → task."""
# Families that write text from text, or from sound.
SEQ2SEQ = "ForConditionalGeneration"
SPEECH_FAMILIES = frozenset({"whisper", "speech_to_text", "moonshine", "seamless_m4t"})
TEXT_FAMILIES = frozenset(
    {"t5", "mt5", "umt5", "longt5", "bart", "mbart", "pegasus", "pegasus_x", "led", "blenderbot", "m2m_100", "fsmt"}
)
TRANSLATION = "MarianMTModel"


def task_of(architecture: str | None, model_type: str | None) -> str | None:
    """What a model of that architecture is for, or None if its name does not say."""
    if not architecture:
        return None
    for end, task in HEADS:
        if architecture.endswith(end):
            return task
    if architecture == TRANSLATION:
        return "translation"
    if architecture.endswith(SEQ2SEQ):
        if model_type in SPEECH_FAMILIES:
            return "automatic-speech-recognition"
        return "text2text-generation" if model_type in TEXT_FAMILIES else "image-text-to-text"
    if architecture.endswith("Model"):
        return "image-feature-extraction" if (model_type or "").startswith(("vit", "dinov", "swin")) else (
            "feature-extraction"
        )  # fmt: skip
    return None


def auto_class(architecture: str | None) -> str | None:
    """`BertForMaskedLM` → `AutoModelForMaskedLM`; None for a name that says nothing."""
    if not architecture:
        return None
    if architecture.endswith("LMHeadModel"):
        return "AutoModelForCausalLM"
    if architecture == TRANSLATION or architecture.endswith(SEQ2SEQ):
        return "AutoModelForSeq2SeqLM"
    for end, _ in HEADS:
        if architecture.endswith(end):
            return f"AutoModel{end}"
    return "AutoModel" if architecture.endswith("Model") else None
