"""What each task is, for the pages of tasks: in a few sentences, with what goes in, what comes out, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class About:
    """One task; the texts are English and are translated by the pages' catalogues."""

    text: str
    takes: str
    gives: str
    metrics: tuple[str, ...] = ()
    """Names of `samovar.evaluate` that results of the task are usually measured by."""


ABOUT: dict[str, About] = {
    "text-classification": About(
        "Puts a whole text into one of several classes: the mood of a review, the topic of a letter, whether a comment "
        "is rude. The classes are fixed when the model is trained. A model of this kind is small and quick to "
        "fine-tune on a few hundred examples of one's own.",
        "A text, or a pair of texts", "Classes, each with a score",
        ("accuracy", "f1", "precision", "recall", "roc_auc"),
    ),
    "token-classification": About(
        "Marks words of a text: names of people, places and firms, parts of speech, numbers that must be hidden. The "
        "model judges every token; neighbours of one kind are then joined into a span with its place in the text.",
        "A text", "Spans with a kind, a score, a beginning and an end", ("seqeval",),
    ),
    "question-answering": About(
        "Finds the answer to a question in a text that is given along with it. The answer is a passage of that text, "
        "so it can be checked at a glance, and nothing is made up. Models trained for it may also say that the text "
        "holds no answer.",
        "A question and a text", "A passage of the text, with a score", ("squad", "squad_v2", "exact_match", "f1"),
    ),
    "table-question-answering": About(
        "Answers a question from a table, without a query language. The model chooses the cells that matter and, where "
        "needed, says what to do with them: count, add up, take the mean.",
        "A question and a table", "Cells, and how they are put together", ("exact_match",),
    ),
    "fill-mask": About(
        "Guesses a word that was covered in a sentence. Encoders learn their language this way before they are "
        "fine-tuned for anything else. The guesses show what a model knows, and which prejudices it has picked up.",
        "A text with a mask", "Words for the mask, each with a score", ("perplexity",),
    ),
    "summarization": About(
        "Writes a short text that keeps what matters of a long one. Models that read the whole and write anew can "
        "rephrase and leave out; what they write should be compared with the source before it is relied on.",
        "A long text", "A short text", ("rouge", "bertscore", "meteor"),
    ),
    "translation": About(
        "Writes a text in another language. Some models know one pair of languages, others a hundred and are told "
        "which one to write. Quality differs a lot between pairs, so measure it on the pair that you need.",
        "A text, and the languages", "The text in the other language", ("sacrebleu", "chrf", "ter", "bleu"),
    ),
    "text2text-generation": About(
        "Turns one text into another with an encoder that reads and a decoder that writes: correct spelling, simplify, "
        "answer, rewrite. What is wanted usually stands at the beginning of the text, as the model was trained.",
        "A text, often with an instruction", "A text", ("rouge", "exact_match", "sacrebleu"),
    ),
    "text-generation": About(
        "Continues a text, one token after another. Trained further on conversations, the same models follow "
        "instructions and chat. How freely they choose their words is set by the call; what they state as a fact may "
        "be wrong.",
        "A text, or the messages of a chat", "What comes next", ("perplexity", "rouge", "exact_match"),
    ),
    "multiple-choice": About(
        "Chooses which of several answers fits a question or a beginning best. The model reads each choice together "
        "with the question and gives it a score; the scores are compared at the end.",
        "A question or context, and choices", "The choices, each with a score", ("accuracy",),
    ),
    "zero-shot-classification": About(
        "Sorts texts into classes that are named only now, with no training for them. The model judges whether the "
        "text implies a sentence such as “This is about sport”, and compares the judgements. A good start when there "
        "are no labelled examples yet.",
        "A text and the names of classes", "The classes, each with a score", ("accuracy", "f1"),
    ),
    "feature-extraction": About(
        "Turns a text into vectors, with no task in mind. Texts alike in meaning get vectors that are close, which is "
        "what search, clustering and recommendation are built on; other models take them as their input.",
        "A text", "Vectors, one for each token or one for the text", ("ndcg", "mrr", "recall_at_k"),
    ),
    "sentence-similarity": About(
        "Says how alike sentences are in meaning, whatever words they use. Each becomes a vector, and the angle "
        "between two vectors is the answer; millions can be compared this way, because each is read only once.",
        "A sentence and others to compare it with", "A number for each, up to 1", ("spearmanr", "pearsonr", "ndcg"),
    ),
    "image-classification": About(
        "Says what a picture shows, as one of a fixed set of classes: a breed, a defect, a kind of document. "
        "Pretrained models know a thousand everyday things, and learn new classes from a few dozen pictures each.",
        "A picture", "Classes, each with a score", ("accuracy", "f1", "confusion_matrix"),
    ),
    "object-detection": About(
        "Finds things in a picture and draws a box around each, with its class. Used for counting, for following "
        "things in a film, and as a first step before looking closer at each of them.",
        "A picture", "Boxes with a class and a score", ("mean_average_precision",),
    ),
    "image-segmentation": About(
        "Gives every pixel of a picture to something: to a class (semantic), to one thing of a class (instance), or "
        "both at once (panoptic). The result is a mask for each part, exact along its edge where a box would not be.",
        "A picture", "Masks with a class and a score", ("mean_iou",),
    ),
    "depth-estimation": About(
        "Judges for every pixel of a single picture how far away it is. Some models give metres, others only what is "
        "nearer and what is farther.",
        "A picture", "A map of distances", ("mae", "rmse"),
    ),
    "image-to-image": About(
        "Makes a picture out of a picture: larger, sharper, without noise, in colour, in another style.",
        "A picture", "A picture", ("mse",),
    ),
    "image-feature-extraction": About(
        "Turns a picture into vectors. Pictures that look alike get vectors that are close: the base of search by "
        "picture, of finding duplicates, and of small models trained on top.",
        "A picture", "Vectors, one for each patch or one for the picture", ("recall_at_k", "mrr"),
    ),
    "mask-generation": About(
        "Cuts out whatever a point or box in the picture refers to, with no idea of its class; without any hint, "
        "everything that could be cut out.",
        "A picture, and points or boxes", "Masks", ("mean_iou",),
    ),
    "zero-shot-image-classification": About(
        "Sorts pictures into classes that are named only now, in words. Picture and words are turned into vectors of "
        "one space, and the closest words win.",
        "A picture and the names of classes", "The classes, each with a score", ("accuracy",),
    ),
    "zero-shot-object-detection": About(
        "Finds things in a picture that are described in words, with no training for them: “a cup with a handle”, “a "
        "red roof”.",
        "A picture and descriptions", "Boxes with a description and a score", ("mean_average_precision",),
    ),
    "keypoint-detection": About(
        "Finds points that matter in a picture: the joints of a body, the corners of a face, or simply places that can "
        "be recognised again from another side.",
        "A picture", "Points, each with a score", ("mean_average_precision",),
    ),
    "keypoint-matching": About(
        "Finds points that are the same place in two pictures, taken from different sides or at different times. "
        "Panoramas, maps and models in three dimensions are put together from such pairs.",
        "Two pictures", "Pairs of points, each with a score",
    ),
    "video-classification": About(
        "Says what happens in a film, as one of a fixed set of classes: a movement, a sport, an accident. Unlike a "
        "single picture, frames one after another show which way things go.",
        "A film", "Classes, each with a score", ("accuracy",),
    ),
    "audio-classification": About(
        "Says what is to be heard: a word of command, a language, a speaker's mood, a bird, a broken bearing.",
        "A recording", "Classes, each with a score", ("accuracy", "f1"),
    ),
    "automatic-speech-recognition": About(
        "Writes down what is said in a recording. Newer models know many languages, put commas and full stops, and say "
        "when each word was spoken.",
        "A recording of speech", "Its text, with times where they are asked for", ("wer", "cer"),
    ),
    "text-to-audio": About(
        "Makes sound from a text: speech in a chosen voice, music or noises from a description.",
        "A text", "A recording",
    ),
    "zero-shot-audio-classification": About(
        "Sorts recordings into classes that are named only now, in words, by turning sound and words into vectors of "
        "one space.",
        "A recording and the names of classes", "The classes, each with a score", ("accuracy",),
    ),
    "image-to-text": About(
        "Writes what a picture shows or says: a caption for it, or the text that is printed or written on it (optical "
        "character recognition).",
        "A picture", "A text", ("cer", "wer", "rouge"),
    ),
    "document-question-answering": About(
        "Answers a question from the picture of a page: a bill, a form, a letter. The model looks at the words and at "
        "where they stand, since in a form the place often says more than the wording.",
        "A picture of a page and a question", "An answer", ("exact_match", "squad"),
    ),
    "visual-question-answering": About(
        "Answers a question about a picture in a word or two: what colour, how many, is there any.",
        "A picture and a question", "Answers, each with a score", ("accuracy", "exact_match"),
    ),
    "image-text-to-text": About(
        "Talks about pictures: a language model that has learned to see. It describes, compares, reads charts and "
        "answers what follows from them; as with all language models, what it claims should be checked.",
        "Pictures and a text, or a chat with pictures", "A text", ("exact_match", "rouge"),
    ),
    "any-to-any": About(
        "One model for several kinds of data at once: it reads and gives text, pictures, sound or film in whatever "
        "combination it was trained for.",
        "Any of text, picture, sound, film", "Any of them",
    ),
    "time-series-forecasting": About(
        "Continues a series of numbers: sales, load, temperature. Good models give not one future but the range in "
        "which it will lie, and take calendars and known plans into account.",
        "A series with its past, and how far to look", "Future values, or their distribution", ("mase", "smape", "mae"),
    ),
    "reinforcement-learning": About(
        "Learns by trying: an agent acts, is rewarded or not, and comes to prefer what pays off. Decision transformers "
        "learn the same from records, by predicting the action that leads to a wanted reward.",
        "States and rewards so far", "The next action",
    ),
}  # fmt: skip
