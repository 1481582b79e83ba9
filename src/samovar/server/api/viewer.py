"""The dataset viewer's API: splits, rows, search, filter, sizes and statistics of each data set on this Hub.

Paths and answers are those of the field's viewer. What is not converted yet is waited for a moment; after that the
answer is 503 with `X-Error-Code: ResponseNotReady`.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import JSONResponse, Response

from samovar.server.api.context import CallerOf, HubOf, base_url
from samovar.server.errors import EntryNotFoundError
from samovar.server.hub import Hub
from samovar.server.services.access import Caller
from samovar.server.viewer import query
from samovar.server.viewer.data import (
    Data,
    NoDataError,
    NotReadyError,
    Split,
    found_by_condition,
    found_by_words,
    text_columns,
)
from samovar.server.viewer.data import opened as data_of
from samovar.server.viewer.shown import cells, kind_of, media

router = APIRouter(tags=["viewer"])
MOST_ROWS = 100
DatasetOf = Annotated[str, Query(description="owner/name")]
NameOf = Annotated[str, Query()]
OffsetOf = Annotated[int, Query(ge=0, le=2**40)]
LengthOf = Annotated[int, Query(ge=0, le=MOST_ROWS)]


def opened(request: Request, hub: Hub, caller: Caller, name: str) -> Data:
    """The data set, converted; what is not ready is waited for a moment."""
    return data_of(hub, request.app.state.converter, caller, name)


def answer(data: Data, body: dict[str, Any]) -> JSONResponse:
    """JSON that says of which commit it speaks."""
    return JSONResponse(body, headers={"X-Revision": data.commit})


@router.get("/is-valid")
def is_valid(request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf) -> JSONResponse:
    """What can be done with a data set."""
    try:
        data = opened(request, hub, caller, dataset)
    except (NoDataError, NotReadyError):
        return JSONResponse(dict.fromkeys(("preview", "viewer", "search", "filter", "statistics"), False))
    texts = any(text_columns(one["features"]) for one in data.info.values())
    return answer(data, {"preview": True, "viewer": True, "search": texts, "filter": True, "statistics": True})


@router.get("/splits")
def splits(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf | None = None
) -> JSONResponse:  # fmt: skip
    """All configurations and their splits."""
    data = opened(request, hub, caller, dataset)
    if config is not None:
        data.config(config)
    rows = [
        {"dataset": data.name, "config": name, "split": split}
        for name, one in data.info.items() if config in (None, name) for split in one["splits"]
    ]  # fmt: skip
    return answer(data, {"splits": rows, "pending": [], "failed": []})


@router.get("/first-rows")
def first_rows(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf, split: NameOf
) -> JSONResponse:  # fmt: skip
    """Up to a hundred rows from the beginning."""
    data = opened(request, hub, caller, dataset)
    part = data.split(config, split)
    found = query.page(part.path, 0, MOST_ROWS)
    return answer(data,
        {
            "dataset": data.name, "config": config, "split": split, "features": part.features,
            "rows": listed(part, found, base_url(request)), "truncated": found.total > len(found.rows),
        }
    )  # fmt: skip


@router.get("/rows")
def rows(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf, split: NameOf,
    offset: OffsetOf = 0, length: LengthOf = MOST_ROWS,
) -> JSONResponse:  # fmt: skip
    """Rows by their number."""
    part = opened(request, hub, caller, dataset).split(config, split)
    return paged(request, part, query.page(part.path, offset, length))


@router.get("/search")
def search(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf, split: NameOf,
    query: Annotated[str, Query(alias="query", max_length=1000)], offset: OffsetOf = 0, length: LengthOf = MOST_ROWS,
) -> JSONResponse:  # fmt: skip
    """Rows whose texts hold all the words; those that hold them most often first."""
    part = opened(request, hub, caller, dataset).split(config, split)
    return paged(request, part, found_by_words(part, query, offset, length))


@router.get("/filter")
def filter_rows(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf, split: NameOf,
    where: Annotated[str, Query(max_length=10_000)] = "", orderby: Annotated[str, Query(max_length=500)] = "",
    offset: OffsetOf = 0, length: LengthOf = MOST_ROWS,
) -> JSONResponse:  # fmt: skip
    """Rows that fulfil a condition: `"label" = 1 AND text <> 'x'`."""
    part = opened(request, hub, caller, dataset).split(config, split)
    return paged(request, part, found_by_condition(part, where, orderby, offset, length))


@router.get("/parquet")
def parquet(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf | None = None
) -> JSONResponse:  # fmt: skip
    """Where the converted files are."""
    data = opened(request, hub, caller, dataset)
    if config is not None:
        data.config(config)
    base = f"{base_url(request)}/api/datasets/{data.name}/parquet"
    files = [
        {
            "dataset": data.name, "config": name, "split": split, "filename": "0000.parquet",
            "url": f"{base}/{quote(name, safe='')}/{quote(split, safe='')}/0.parquet",
            "size": facts["num_bytes_parquet_files"],
        }
        for name, one in data.info.items() if config in (None, name) for split, facts in one["splits"].items()
    ]  # fmt: skip
    partial = any(facts["partial"] for one in data.info.values() for facts in one["splits"].values())
    return answer(data, {"parquet_files": files, "pending": [], "failed": [], "partial": partial})


@router.get("/size")
def size(request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf) -> JSONResponse:
    """Rows and bytes of the data set, its configurations and splits."""
    data = opened(request, hub, caller, dataset)
    by_split = [
        {"dataset": data.name, "config": config, "split": split, **counted(facts), "num_columns": facts["num_columns"]}
        for config, one in data.info.items() for split, facts in one["splits"].items()
    ]  # fmt: skip
    by_config = [
        {"dataset": data.name, "config": config, "num_columns": len(one["features"]), **summed(one["splits"].values())}
        for config, one in data.info.items()
    ]
    whole = {"dataset": data.name, "num_bytes_original_files": data.original, **summed(by_split)}
    partial = any(facts["partial"] for one in data.info.values() for facts in one["splits"].values())
    sizes = {"dataset": whole, "configs": by_config, "splits": by_split}
    return answer(data, {"size": sizes, "pending": [], "failed": [], "partial": partial})


@router.get("/info")
def info(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf | None = None
) -> JSONResponse:  # fmt: skip
    """Features and splits, as the library `datasets` reads them."""
    data = opened(request, hub, caller, dataset)
    infos = {name: described(data, name) for name in data.info if config in (None, name)}
    body = infos if config is None else infos.get(config) or described(data, config)
    partial = any(facts["partial"] for one in data.info.values() for facts in one["splits"].values())
    return answer(data, {"dataset_info": body, "pending": [], "failed": [], "partial": partial})


@router.get("/statistics")
def statistics(
    request: Request, hub: HubOf, caller: CallerOf, dataset: DatasetOf, config: NameOf, split: NameOf
) -> JSONResponse:  # fmt: skip
    """How the values of each column are spread."""
    data = opened(request, hub, caller, dataset)
    return answer(data, data.split(config, split).statistics())


@router.get("/api/datasets/{owner:segment}/{name:segment}/parquet")
def parquet_tree(
    request: Request, hub: HubOf, caller: CallerOf, owner: Annotated[str, Path()], name: Annotated[str, Path()]
) -> JSONResponse:  # fmt: skip
    """Configuration → split → addresses of converted files."""
    data = opened(request, hub, caller, f"{owner}/{name}")
    base = f"{base_url(request)}/api/datasets/{data.name}/parquet"
    files = {
        config: {
            split: [f"{base}/{quote(config, safe='')}/{quote(split, safe='')}/0.parquet"] for split in one["splits"]
        }
        for config, one in data.info.items()
    }  # fmt: skip
    return answer(data, files)


@router.get("/api/datasets/{owner:segment}/{name:segment}/parquet/{config:segment}/{split:segment}/0.parquet")
async def parquet_file(
    request: Request, hub: HubOf, caller: CallerOf, owner: Annotated[str, Path()], name: Annotated[str, Path()],
    config: Annotated[str, Path()], split: Annotated[str, Path()],
) -> Response:  # fmt: skip
    """A converted file."""
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import FileResponse

    part = (await run_in_threadpool(opened, request, hub, caller, f"{owner}/{name}")).split(config, split)
    return FileResponse(
        part.path, media_type="application/vnd.apache.parquet", headers={"X-Revision": part.data.commit}
    )


@router.get(
    "/api/datasets/{owner:segment}/{name:segment}/viewer-media/{commit:segment}/{config:segment}/{split:segment}"
    "/{row:segment}/{column:segment}",
    include_in_schema=False,
)
def medium(
    request: Request, hub: HubOf, caller: CallerOf, owner: str, name: str, commit: str, config: str, split: str,
    row: str, column: str,
) -> Response:  # fmt: skip
    """A picture or sound of one cell, as what its bytes begin like and nothing else."""
    part = opened(request, hub, caller, f"{owner}/{name}").split(config, split)
    if not (row.isdecimal() and column.isdecimal() and len(row) < 12 and int(column[:6]) < len(part.features)):
        raise EntryNotFoundError("There is no such cell.")
    feature = part.features[int(column)]
    found = query.page(part.path, int(row), 1).rows
    value = found[0][1].get(feature["name"]) if found and media(feature["type"]) else None
    data = value.get("bytes") if isinstance(value, dict) else None
    type_ = kind_of(data) if data else ""
    if not data or not type_:
        raise EntryNotFoundError("There is no such picture or sound.")
    headers = {
        "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, max-age=86400", "X-Revision": part.data.commit,
    }  # fmt: skip
    return Response(data, media_type=type_, headers=headers)


def listed(part: Split, found: query.Found, base: str) -> list[dict[str, Any]]:
    """Rows for JSON."""
    out = []
    for number, row in found.rows:
        plain, cut = cells(row, number, part.features, part.asset(base))
        out.append({"row_idx": number, "row": plain, "truncated_cells": cut})
    return out


def paged(request: Request, part: Split, found: query.Found) -> JSONResponse:
    """A page of rows."""
    return answer(part.data,
        {
            "features": part.features, "rows": listed(part, found, base_url(request)), "num_rows_total": found.total,
            "num_rows_per_page": MOST_ROWS, "partial": part.partial,
        }
    )  # fmt: skip


def counted(facts: dict[str, Any]) -> dict[str, int]:
    """The sizes of a split under the viewer's names."""
    return {
        "num_rows": facts["num_rows"], "num_bytes_parquet_files": facts["num_bytes_parquet_files"],
        "num_bytes_memory": facts["num_bytes"] if "num_bytes" in facts else facts["num_bytes_memory"],
    }  # fmt: skip


def summed(many: Any) -> dict[str, int]:
    """Sizes added up."""
    each = [counted(one) for one in many]
    return {key: sum(one[key] for one in each) for key in ("num_rows", "num_bytes_parquet_files", "num_bytes_memory")}


def described(data: Data, config: str) -> dict[str, Any]:
    """One configuration as `DatasetInfo`."""
    one = data.config(config)
    total = summed(one["splits"].values())
    return {
        "description": "", "citation": "", "homepage": "", "license": "", "builder_name": "parquet",
        "dataset_name": data.name.rpartition("/")[2], "config_name": config,
        "features": {feature["name"]: feature["type"] for feature in one["features"]},
        "splits": {
            split: {
                "name": split, "num_bytes": facts["num_bytes"], "num_examples": facts["num_rows"], "dataset_name": None,
            }
            for split, facts in one["splits"].items()
        },
        "download_size": total["num_bytes_parquet_files"], "dataset_size": total["num_bytes_memory"],
    }  # fmt: skip
