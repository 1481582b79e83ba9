"""`SentenceTransformer`: texts → embeddings, through the steps that a checkpoint lists."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from samovar.errors import InputError, did_you_mean
from samovar.hub.publish import shares
from samovar.pipelines.base import chosen_device
from samovar.sentence.encoding import Request, encode
from samovar.sentence.files import load_modules, save_modules
from samovar.sentence.module import Features
from samovar.sentence.processes import Processes
from samovar.sentence.similarity import SimilarityFunction, similarity_named

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo


class SentenceTransformer(nn.Sequential):
    """A sequence of modules: an encoder, pooling, and what else the checkpoint's `modules.json` names.

    ::

        model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")   # an id or a folder
        embeddings = model.encode(["A samovar boils.", "The kettle is hot."])   # NumPy, float32, (2, 384)
        model.similarity(embeddings, embeddings)                                # tensor (2, 2)

    A plain encoder without `modules.json` gets mean pooling. `modules` builds one from parts. `prompts` maps names to
    texts that `encode` puts before its inputs; `truncate_dim` keeps the first features of each embedding (Matryoshka,
    arXiv:2205.13147); `model_kwargs` go to `AutoModel.from_pretrained` (dtype, attn_implementation, …),
    `tokenizer_kwargs` to `AutoTokenizer`. `device` None: an accelerator if there is one. `backend="onnx"` runs the
    encoder in onnxruntime, by its graph in the folder or by one that is made now; `save_pretrained` writes that graph.

    Raises what `AutoModel.from_pretrained` raises, `ConfigError` for modules that are unknown and `UnsafeFileError`
    for classes that would be a repository's own code.
    """

    def __init__(
        self,
        model_name_or_path: str | Path | None = None,
        *,
        modules: Iterable[nn.Module] | None = None,
        device: str | torch.device | None = None,
        backend: str = "torch",
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity_fn_name: str | None = None,
        cache_folder: str | Path | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        truncate_dim: int | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        tokenizer_kwargs: Mapping[str, Any] | None = None,
        processor_kwargs: Mapping[str, Any] | None = None,
        config_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        settings: dict[str, Any] = {}
        if model_name_or_path is not None and modules is None:
            modules, settings = load_modules(
                str(model_name_or_path),
                {
                    "cache_dir": cache_folder, "revision": revision, "local_files_only": local_files_only,
                    "token": token,
                },
                {**(config_kwargs or {}), **(model_kwargs or {})},
                {**(processor_kwargs or {}), **(tokenizer_kwargs or {})},
                backend,
            )  # fmt: skip
        if not modules:
            raise InputError("A SentenceTransformer of nothing.", "Pass a name, a folder, or modules=[…].")
        super().__init__(*modules)
        self.prompts = {"query": "", "document": "", **(settings.get("prompts") or {}), **(prompts or {})}
        self.default_prompt_name = default_prompt_name or settings.get("default_prompt_name")
        if self.default_prompt_name is not None:
            self.prompt_named(self.default_prompt_name)
        chosen = similarity_fn_name or settings.get("similarity_fn_name") or SimilarityFunction.COSINE
        self.similarity_fn_name = similarity_named(str(chosen))
        self.truncate_dim = truncate_dim
        self.name_or_path = "" if model_name_or_path is None else str(model_name_or_path)
        home = next(self.parameters(), torch.empty(0)).device
        fixed = getattr(getattr(self[0], "auto_model", None), "fixed_device", None)
        self.to(chosen_device(fixed if device is None else device, home))
        self.eval()

    # Embeddings ---------------------------------------------------------------------------------------------------

    def encode(
        self,
        sentences: str | Sequence[str] | Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: str | None = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | torch.device | Sequence[str | torch.device] | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        pool: Processes | None = None,
        chunk_size: int | None = None,
    ) -> Any:
        """Texts → NumPy float32 (texts, dim); one text → (dim,).

        Texts are sorted by length and packed into batches by a budget of tokens; `batch_size` caps the rows of one.
        Results are in the order of the texts. `convert_to_tensor` gives one tensor on the model's device,
        `convert_to_numpy=False` a list of tensors. `output_value="token_embeddings"` gives each text's tokens
        (tokens, hidden), None all features. `precision` is float32, int8, uint8, binary or ubinary (see
        `quantize_embeddings`). `prompt`, or the one that `prompt_name` names, stands before each text.
        A list of devices, or a `pool` of `start_multi_process_pool`, divides the texts among processes.

        Raises `InputTypeError` with the index of what is no text, `NumericError` where a result is not finite.
        """
        self.eval()
        text = self.prompt_text(prompt_name, prompt)
        dim = self.truncate_dim if truncate_dim is None else truncate_dim
        request = Request(
            text, batch_size, show_progress_bar, output_value, precision, convert_to_numpy, convert_to_tensor,
            normalize_embeddings, dim,
        )  # fmt: skip
        if pool is not None:
            return pool.encode(self, sentences, request, chunk_size)
        if isinstance(device, list | tuple):
            with self.start_multi_process_pool([str(one) for one in device]) as processes:
                return processes.encode(self, sentences, request, chunk_size)
        if device is not None:
            self.to(torch.device(device))  # type: ignore[arg-type]
        return encode(self, sentences, request)

    def encode_query(self, sentences: Any, prompt_name: str | None = None, prompt: str | None = None, **o: Any) -> Any:
        """`encode` with the prompt named `query`, unless another is given."""
        return self.encode(sentences, self.prompt_or(prompt_name, prompt, "query"), prompt, **o)

    def encode_document(
        self, sentences: Any, prompt_name: str | None = None, prompt: str | None = None, **o: Any
    ) -> Any:
        """`encode` with the prompt named `document`, `passage` or `corpus`, unless another is given."""
        return self.encode(sentences, self.prompt_or(prompt_name, prompt, "document", "passage", "corpus"), prompt, **o)

    def forward(self, input: Features, **kwargs: Any) -> Features:
        """Features through all modules, in training as in use."""
        for module in self:
            input = module(input)
        return input

    def tokenize(self, texts: list[Any]) -> Features:
        """Texts → what `forward` takes."""
        return self[0].tokenize(texts)  # type: ignore[operator]

    preprocess = tokenize

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """(n, dim), (m, dim) → (n, m), by `similarity_fn_name`; larger is more alike."""
        return SimilarityFunction.to_similarity_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """(n, dim), (n, dim) → (n,), row by row."""
        return SimilarityFunction.to_similarity_pairwise_fn(self.similarity_fn_name)(embeddings1, embeddings2)

    # Prompts ------------------------------------------------------------------------------------------------------

    def prompt_named(self, name: str) -> str:
        """The prompt of this name. Raises `InputError` with the names that there are."""
        if name not in self.prompts:
            hint = did_you_mean(name, self.prompts)
            raise InputError(
                f"There is no prompt {name!r}.", f"{hint} This model has: {', '.join(self.prompts) or 'none'}.".strip()
            )
        return self.prompts[name]

    def prompt_text(self, name: str | None, text: str | None) -> str:
        """What stands before each input."""
        if text is not None:
            return text
        name = self.default_prompt_name if name is None else name
        return "" if name is None else self.prompt_named(name)

    def prompt_or(self, name: str | None, text: str | None, *candidates: str) -> str | None:
        """The name given, or the first candidate with a text."""
        if name is not None or text is not None:
            return name
        return next((one for one in candidates if self.prompts.get(one)), None)

    # Attributes ---------------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters(), torch.empty(0)).device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the parameters."""
        return next((p.dtype for p in self.parameters()), torch.get_default_dtype())

    @property
    def tokenizer(self) -> Any:
        """That of the first module."""
        return self[0].tokenizer

    @tokenizer.setter
    def tokenizer(self, value: Any) -> None:
        self[0].tokenizer = value

    @property
    def max_seq_length(self) -> Any:
        """Tokens after which a text is cut."""
        return self[0].max_seq_length

    @max_seq_length.setter
    def max_seq_length(self, value: int | None) -> None:
        self[0].max_seq_length = value  # type: ignore[assignment]

    def get_max_seq_length(self) -> Any:
        """Tokens after which a text is cut."""
        return self.max_seq_length

    def get_sentence_embedding_dimension(self) -> int | None:
        """How many numbers an embedding has; None where no module says so."""
        for module in reversed(list(self)):
            size = getattr(module, "get_sentence_embedding_dimension", None)
            if size is not None:
                full = int(size())
                return full if self.truncate_dim is None else min(full, self.truncate_dim)
        return None

    get_embedding_dimension = get_sentence_embedding_dimension

    @contextlib.contextmanager
    def truncate_sentence_embeddings(self, truncate_dim: int | None) -> Iterator[None]:
        """Another `truncate_dim` inside the block."""
        before, self.truncate_dim = self.truncate_dim, truncate_dim
        try:
            yield
        finally:
            self.truncate_dim = before

    def set_pooling_include_prompt(self, include_prompt: bool) -> None:
        """Whether pooling counts the prompt's tokens."""
        for module in self:
            if hasattr(module, "include_prompt"):
                module.include_prompt = include_prompt  # type: ignore[assignment]

    # Several processes --------------------------------------------------------------------------------------------

    def start_multi_process_pool(self, target_devices: Sequence[str] | None = None) -> Processes:
        """A process per device (default: each accelerator, or four on the CPU); a context manager."""
        return Processes(self, target_devices)

    @staticmethod
    def stop_multi_process_pool(pool: Processes) -> None:
        """End the processes."""
        pool.close()

    def encode_multi_process(self, sentences: Any, pool: Processes, **options: Any) -> Any:
        """`encode(…, pool=pool)`."""
        return self.encode(sentences, pool=pool, **options)

    # Training and files -------------------------------------------------------------------------------------------

    def fit(self, train_objectives: Sequence[tuple[Any, nn.Module]], **options: Any) -> None:
        """Train on (DataLoader of `InputExample`, loss) pairs; the options are those of `sentence.fit.fit`."""
        from samovar.sentence.fit import fit

        fit(self, train_objectives, **options)

    def load_saved_weights(self, folder: str | Path) -> None:
        """The weights of a folder that `save` wrote, into this model. Raises `WeightsError`."""
        from samovar.sentence.trainer import load_weights

        load_weights(self, folder)

    def evaluate(self, evaluator: Any, output_path: str | None = None) -> Any:
        """What the evaluator finds."""
        return evaluator(self, output_path)

    @shares
    def save_pretrained(self, path: str | Path, model_name: str | None = None, create_model_card: bool = True) -> None:
        """Write all modules and their list, in the field's format, as one atomic change of the folder."""
        save_modules(self, Path(path), model_name, create_model_card)

    save = save_pretrained

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: str | None = None,
        private: bool | None = None,
        commit_message: str = "Add a SentenceTransformer model",
        local_model_path: str | Path | None = None,
        exist_ok: bool = True,
        replace_model_card: bool = False,
        revision: str | None = None,
        create_pr: bool = False,
        tags: Sequence[str] | None = None,
    ) -> CommitInfo:
        """Save to a repository of the endpoint (`HF_ENDPOINT`), made if it is not there; the commit, as its address.

        `local_model_path` is a folder to upload in place of this model. A card that a person wrote stays, unless
        `replace_model_card`. Raises `HubError`, also for a repository that is there unless `exist_ok`.
        """
        from samovar.hub.publish import Destination
        from samovar.sentence.files import push_modules

        destination = Destination(repo_id, commit_message, None, private, token, revision, create_pr, tags)
        local = None if local_model_path is None else Path(local_model_path)
        return push_modules(self, destination, exist_ok, local, replace_model_card)
