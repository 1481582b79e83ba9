"""Publishing: what `save_pretrained` writes goes to a repository of the Hub, as one commit, with a card.

This file knows nothing about what is published: whatever has `save_pretrained` can be.
"""

from __future__ import annotations

import functools
import inspect
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from samovar.errors import HubError, InputError, did_you_mean
from samovar.hub.refusals import Token, refusals, require_login

if TYPE_CHECKING:
    from huggingface_hub import CommitInfo, HfApi

Result = TypeVar("Result")
# Arguments of older releases of the field's library that change nothing here: what is written is always safetensors,
# always from a temporary folder.
WITHOUT_EFFECT = ("use_temp_dir", "safe_serialization", "repo_url", "organization")


@dataclass(frozen=True)
class Destination:
    """Where something goes, and how: the arguments of `push_to_hub`."""

    repo_id: str
    commit_message: str | None = None
    commit_description: str | None = None
    private: bool | None = None
    token: Token = None
    revision: str | None = None
    create_pr: bool = False
    tags: Sequence[str] | None = None


class Shareable:
    """Gives `push_to_hub` to what has `save_pretrained`."""

    # The Auto class that loads a class of one's own; None for those that need no code to come along.
    _auto_class: ClassVar[str | None] = None
    _default_auto_class: ClassVar[str] = "AutoModel"

    @classmethod
    def register_for_auto_class(cls, auto_class: str | type = "") -> None:
        """Save this class's source with its objects, so that this Auto class loads them with `trust_remote_code=True`.

        For classes of one's own: what an Auto class knows already needs no code. Raises `InputError` for a name that
        is no Auto class.
        """
        name = auto_class if isinstance(auto_class, str) else auto_class.__name__
        name = name or cls._default_auto_class
        if not re.fullmatch(r"Auto[A-Z]\w+", name):
            raise InputError(f"{name!r} is no Auto class.", "Such as AutoModel, AutoConfig or AutoTokenizer.")
        cls._auto_class = name

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        commit_description: str | None = None,
        private: bool | None = None,
        token: Token = None,
        revision: str | None = None,
        create_pr: bool = False,
        max_shard_size: int | str | None = None,
        tags: str | Sequence[str] | None = None,
        **older: Any,
    ) -> CommitInfo:
        """Save into a temporary folder and upload it to a repository of the endpoint (`HF_ENDPOINT`), as one commit.

        `repo_id` is `"owner/name"`, or `"name"` for one of your own; it is made if it is not there, private if
        `private`. `revision` is a branch, made if it is not there; `create_pr` proposes the commit instead. `tags`
        go into the model card. A card is written where there is none, and one that a person wrote stays.

        Returns the commit (`commit_url`, `oid`, `pr_url`). Raises `HubError` (no login, no right, an invalid name, an
        endpoint out of reach) or `OfflineError`, with the repository as it was.
        """
        refuse_unknown(older)
        sharded = {} if max_shard_size is None else {"max_shard_size": max_shard_size}
        tags = [tags] if isinstance(tags, str) else tags
        token = older.get("use_auth_token") if token is None else token
        return push(self, Destination(
            repo_id, commit_message, commit_description, private, token, revision, create_pr, tags
        ), sharded)  # fmt: skip


def refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raise `InputError` for arguments that no release of the field's `push_to_hub` has."""
    known = [*(one.name for one in fields(Destination)), "max_shard_size"]
    for name in given:
        if name not in (*WITHOUT_EFFECT, "use_auth_token"):
            raise InputError(f"push_to_hub has no argument {name!r}.", did_you_mean(name, known) or "Leave it out.")


def shares(save: Callable[..., Result]) -> Callable[..., Result]:
    """Let a `save_pretrained` take `push_to_hub=True`, with `repo_id` (default: the folder's name) and its options.

    The files that the save wrote are uploaded after it, with the card as for `push_to_hub`.
    """

    place = list(inspect.signature(save).parameters)[1]

    @functools.wraps(save)
    def save_pretrained(self: Any, *args: Any, **options: Any) -> Result:
        if not options.pop("push_to_hub", False):
            if options.get("repo_id") is not None:
                raise InputError("repo_id was given, but not push_to_hub=True.", "Pass both, or neither.")
            return save(self, *args, **options)
        names = {one.name for one in fields(Destination)} & options.keys()
        where = {name: options.pop(name) for name in names}
        folder = Path(args[0] if args else options[place]).expanduser()
        destination = Destination(**{"repo_id": folder.resolve().name, **where})
        checked(destination)
        before = states(folder)
        result = save(self, *args, **options)
        written = sorted(name for name, state in states(folder).items() if before.get(name) != state)
        upload(self, folder, written, destination)
        return result

    return save_pretrained


def states(folder: Path) -> dict[str, tuple[int, ...]]:
    """File → what changes when it is written again, for all files in a folder."""
    found: dict[str, tuple[int, ...]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            state = path.stat()
            found[path.relative_to(folder).as_posix()] = (state.st_ino, state.st_mtime_ns, state.st_size)
    return found


def push(
    thing: Any, destination: Destination, options: Mapping[str, Any] | None = None, replace_card: bool = False
) -> CommitInfo:
    """Save into a temporary folder, and upload all of it."""
    checked(destination)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, destination.repo_id.rpartition("/")[2])
        save_as(thing, path, dict(options or {}))
        return upload(thing, path, sorted(states(path)), destination, replace_card)


def save_as(thing: Any, folder: Path, options: dict[str, Any]) -> None:
    """Save; what is no model knows no shards."""
    accepted = inspect.signature(thing.save_pretrained).parameters
    several = any(one.kind is one.VAR_KEYWORD for one in accepted.values())
    thing.save_pretrained(folder, **{key: value for key, value in options.items() if several or key in accepted})


NAME = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?\w[\w.-]{0,95}", re.ASCII)


def checked(destination: Destination) -> None:
    """Raise what can be known without a connection: a name that cannot be, no network, no login."""
    name = destination.repo_id
    if not isinstance(name, str) or not NAME.fullmatch(name) or re.search(r"--|\.\.|\.git$|[.-]$", name):
        raise HubError(
            f"{name!r} cannot be a repository's id.", "It is 'name' or 'owner/name' of letters, digits, - _ and '.'."
        )
    with refusals("Pushing to", name, destination.token):
        require_login(f"Pushing to {name}", destination.token)


def upload(
    thing: Any, folder: Path, names: Sequence[str], destination: Destination, replace_card: bool = False
) -> CommitInfo:
    """These files of a folder, and a card, as one commit to the destination."""
    from huggingface_hub import CommitOperationAdd, HfApi

    from samovar.hub.card import with_tags

    kind = type(thing).__name__
    api = HfApi(token=destination.token)
    with refusals("Pushing to", destination.repo_id, destination.token):
        name = made(api, destination)
        operations = [CommitOperationAdd(path, folder / path) for path in names if path != CARD]
        there = card_there(api, name, destination.revision)
        card = card_for(thing, name, folder if CARD in names else None, None if replace_card else there)
        card = with_tags(card, destination.tags) if destination.tags else card
        if card != there:
            operations.append(CommitOperationAdd(CARD, card.encode()))
        return api.create_commit(
            name,
            operations,
            commit_message=destination.commit_message or f"Upload {kind}",
            commit_description=destination.commit_description,
            revision=destination.revision,
            create_pr=destination.create_pr,
        )


CARD = "README.md"


def made(api: HfApi, destination: Destination, repo_type: str = "model") -> str:
    """The repository's full id; the repository and the branch are made where they are not there."""
    name = api.create_repo(destination.repo_id, private=destination.private, repo_type=repo_type, exist_ok=True).repo_id
    branch = destination.revision
    if branch is not None and not branch.startswith("refs/") and not destination.create_pr:
        api.create_branch(name, branch=branch, repo_type=repo_type, exist_ok=True)
    return name


def card_for(thing: Any, name: str, folder: Path | None, there: str | None) -> str:
    """The card that a repository shall have: the one that is `there`, if a person wrote it or knows more than this."""
    from samovar.hub.card import facts, is_unedited, new_card

    about = facts(thing, name)
    if there is not None and not (is_unedited(there) and (folder or about.parameters is not None)):
        return there
    return new_card(about) if folder is None else (folder / CARD).read_text("utf-8")


def card_there(api: HfApi, name: str, revision: str | None) -> str | None:
    """The card that a repository has, None where it has none."""
    from huggingface_hub.errors import EntryNotFoundError, RevisionNotFoundError

    with tempfile.TemporaryDirectory() as folder:
        try:
            path = api.hf_hub_download(name, CARD, revision=revision, local_dir=folder)
        except (EntryNotFoundError, RevisionNotFoundError):
            return None
        return Path(path).read_bytes().decode("utf-8", "replace")
