"""What people say about a repository: discussions, comments, titles and states."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from samovar.server.db.tables import Discussion, DiscussionEvent, Repository
from samovar.server.db.tables.base import now
from samovar.server.errors import BadRequestError, ForbiddenError, NotFoundError
from samovar.server.http.dates import iso
from samovar.server.hub import Hub
from samovar.server.services.access import Caller, RepoType, find
from samovar.server.services.uploads import require_proposals

STATES = ("open", "closed", "merged", "draft")
LONGEST_TITLE = 300
LONGEST_COMMENT = 65_000
PAGE = 50


@dataclass(frozen=True)
class Found:
    """A discussion with its repository, and whether the caller may change it."""

    repository: Repository
    discussion: Discussion


def add(
    session: Session, caller: Caller, repository: Repository, title: str, comment: str, pull_request: bool,
    base: str = "", status: str = "open",
) -> Discussion:  # fmt: skip
    """Begin a discussion or pull request, with the next number of its repository."""
    last = session.scalar(select(func.max(Discussion.number)).where(Discussion.repository_id == repository.id))
    discussion = Discussion(
        repository_id=repository.id, number=(last or 0) + 1, title=checked_title(title), status=status,
        is_pull_request=pull_request, base=base, author_id=caller.account_id, author_name=caller.name,
    )  # fmt: skip
    session.add(discussion)
    session.flush()
    if comment.strip():
        add_comment(session, caller, discussion, comment)
    return discussion


def create(hub: Hub, caller: Caller, type_: RepoType, full: str, title: str, description: str) -> int:
    """Begin a discussion; its number."""
    with hub.database.write() as session:
        repository = find(session, type_, full, caller)
        require_proposals(session, caller, repository)
        return add(session, caller, repository, title, description, pull_request=False).number


def get(session: Session, caller: Caller, type_: RepoType, full: str, number: int) -> Found:
    """A discussion of a repository that the caller may see. Raises `NotFoundError`."""
    repository = find(session, type_, full, caller)
    discussion = session.scalar(
        select(Discussion).where(Discussion.repository_id == repository.id, Discussion.number == number)
    )
    if discussion is None:
        raise NotFoundError(f"There is no discussion {number} in {repository.name}.")
    return Found(repository, discussion)


def listed(
    hub: Hub, caller: Caller, type_: RepoType, full: str, page: int, kind: str, status: str, author: str | None
) -> dict[str, Any]:
    """One page, the newest first: `{"count", "start", "discussions"}`."""
    with hub.database.read() as session:
        repository = find(session, type_, full, caller)
        wanted = [Discussion.repository_id == repository.id]
        if kind != "all":
            wanted.append(Discussion.is_pull_request.is_(kind == "pull_request"))
        if status == "open":
            wanted.append(Discussion.status.in_(("open", "draft")))
        elif status == "closed":
            wanted.append(Discussion.status.in_(("closed", "merged")))
        if author:
            wanted.append(func.lower(Discussion.author_name) == author.lower())
        count = session.scalar(select(func.count()).select_from(Discussion).where(*wanted)) or 0
        rows = session.scalars(
            select(Discussion).where(*wanted).order_by(Discussion.number.desc()).offset(page * PAGE).limit(PAGE)
        ).all()
        # Beyond the last page the count is what was given: a client that pages on would never end otherwise.
        return {
            "count": count if rows else min(count, page * PAGE),
            "start": page * PAGE,
            "discussions": [summary(repository, row) for row in rows],
        }


def summary(repository: Repository, discussion: Discussion) -> dict[str, Any]:
    """A discussion as lists show it."""
    return {
        "num": discussion.number,
        "title": discussion.title,
        "status": discussion.status,
        "isPullRequest": discussion.is_pull_request,
        "createdAt": iso(discussion.created_at),
        "author": {"name": discussion.author_name},
        "repo": {"name": repository.name, "type": repository.type},
        "pinned": False,
    }


def events(session: Session, discussion: Discussion) -> list[dict[str, Any]]:
    """All that happened in a discussion, the oldest first."""
    rows = session.scalars(
        select(DiscussionEvent)
        .where(DiscussionEvent.discussion_id == discussion.id)
        .order_by(DiscussionEvent.created_at, DiscussionEvent.id)
    )
    return [shown(row) for row in rows]


def shown(event: DiscussionEvent) -> dict[str, Any]:
    """An event as clients read it."""
    return {
        "id": event.id,
        "type": event.type,
        "createdAt": iso(event.created_at),
        "author": {"name": event.author_name},
        "data": event.data,
    }


def happen(
    session: Session, caller: Caller, discussion: Discussion, type_: str, data: dict[str, Any]
) -> DiscussionEvent:
    """Note an event. Its id begins with the time, so that those of one moment keep their order."""
    moment = now()
    event = DiscussionEvent(
        id=f"{int(moment.timestamp() * 1e6):014x}{os.urandom(5).hex()}", discussion_id=discussion.id, type=type_,
        author_id=caller.account_id, author_name=caller.name, created_at=moment, data=data,
    )  # fmt: skip
    session.add(event)
    return event


def add_comment(session: Session, caller: Caller, discussion: Discussion, text: str) -> DiscussionEvent:
    """Say something."""
    return happen(
        session, caller, discussion, "comment",
        {"edited": False, "hidden": False, "latest": version(caller, checked_comment(text)), "history": []},
    )  # fmt: skip


def version(caller: Caller, text: str) -> dict[str, Any]:
    """One state of a comment. Pages make its HTML themselves, so none is kept."""
    return {"raw": text, "html": "", "updatedAt": iso(now()), "author": {"name": caller.name}}


def comment(hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, text: str) -> dict[str, Any]:
    """Say something; the event."""
    with hub.database.write() as session:
        found = get(session, caller, type_, full, number)
        require_proposals(session, caller, found.repository)
        return shown(add_comment(session, caller, found.discussion, text))


def change_comment(
    hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, id_: str, text: str | None
) -> dict[str, Any]:
    """Edit one's own comment, or (without `text`) hide it, which whoever may write to the repository may, too.

    Raises `NotFoundError`, `ForbiddenError`.
    """
    with hub.database.write() as session:
        found = get(session, caller, type_, full, number)
        account_id = require_proposals(session, caller, found.repository)
        event = session.get(DiscussionEvent, id_)
        if event is None or event.discussion_id != found.discussion.id or event.type != "comment":
            raise NotFoundError("There is no such comment.")
        if event.author_id != account_id and (text is not None or not caller.may_write(found.repository)):
            raise ForbiddenError("This comment is somebody else's.")
        if event.data["hidden"]:
            raise BadRequestError("The comment is hidden.")
        if text is None:
            # Hidden for good: what it said is gone.
            event.data = {**event.data, "hidden": True, "latest": version(caller, ""), "history": []}
        else:
            history = [*event.data["history"], event.data["latest"]][-50:]
            event.data = {
                **event.data, "edited": True, "latest": version(caller, checked_comment(text)), "history": history,
            }  # fmt: skip
        return shown(event)


def retitle(hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, title: str) -> dict[str, Any]:
    """Give a discussion another title; the event."""
    with hub.database.write() as session:
        found = get(session, caller, type_, full, number)
        require_owner(session, caller, found)
        before, found.discussion.title = found.discussion.title, checked_title(title)
        return shown(
            happen(session, caller, found.discussion, "title-change", {"from": before, "to": found.discussion.title})
        )


def set_status(
    hub: Hub, caller: Caller, type_: RepoType, full: str, number: int, status: str, text: str | None
) -> dict[str, Any]:
    """Open or close a discussion; the event. Raises `BadRequestError` for one that was merged."""
    with hub.database.write() as session:
        found = get(session, caller, type_, full, number)
        require_owner(session, caller, found)
        if found.discussion.status == "merged":
            raise BadRequestError("The pull request was merged.", "Open another.")
        if text and text.strip():
            add_comment(session, caller, found.discussion, text)
        found.discussion.status = status
        return shown(happen(session, caller, found.discussion, "status-change", {"status": status}))


def require_owner(session: Session, caller: Caller, found: Found) -> None:
    """Raises `ForbiddenError` for whoever neither began the discussion nor may write to the repository."""
    account_id = require_proposals(session, caller, found.repository)
    if found.discussion.author_id != account_id and not caller.may_write(found.repository):
        raise ForbiddenError("This discussion is somebody else's.")


def checked_title(title: str) -> str:
    """A title on one line. Raises `BadRequestError`."""
    title = " ".join(title.split())
    if not 3 <= len(title) <= LONGEST_TITLE or not encodable(title):
        raise BadRequestError("The title does not fit.", f"Use 3 to {LONGEST_TITLE} characters.")
    return title


def checked_comment(text: str) -> str:
    """A comment. Raises `BadRequestError`."""
    if not text.strip() or len(text) > LONGEST_COMMENT or not encodable(text):
        raise BadRequestError("The comment does not fit.", f"Use up to {LONGEST_COMMENT:,} characters.")
    return text


def encodable(text: str) -> bool:
    """Whether a database can hold it."""
    return "\0" not in text and not any("\ud800" <= one <= "\udfff" for one in text)
