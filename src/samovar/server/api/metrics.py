"""`/metrics` in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Match
from starlette.types import Scope

import samovar
from samovar.server.api.context import CallerOf, address_of
from samovar.server.errors import ForbiddenError
from samovar.server.http.measuring import BOUNDS, Measures
from samovar.server.inference.pool import Pool
from samovar.server.services.stock import Stock, StockTaking


class ForPrograms(APIRoute):
    """A route that browsers pass by: at the same address they find the page of the evaluation metrics."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """None for whoever asks for HTML."""
        if scope["type"] == "http" and "text/html" in Headers(scope=scope).get("accept", ""):
            return Match.NONE, {}
        return super().matches(scope)


router = APIRouter(tags=["operation"], route_class=ForPrograms)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Sample = tuple[Mapping[str, object], float]


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request, caller: CallerOf) -> PlainTextResponse:
    """Counters of this process and what the Hub holds; for this machine, and for admins with a token of role admin."""
    if not (is_local(address_of(request)) or (caller.is_admin and caller.token_role in (None, "admin"))):
        raise ForbiddenError(
            "Metrics are for the Hub's own machine and its admins.", "Send a token of an admin, of role admin."
        )
    taking: StockTaking = request.app.state.stock
    lines = [
        *of_requests(request.app.state.measures), *of_models(request.app.state.pool), *of_stock(taking.now()),
    ]  # fmt: skip
    return PlainTextResponse("\n".join(lines) + "\n", media_type=CONTENT_TYPE)


def is_local(address: str) -> bool:
    """Whether the request comes from this machine."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def of_requests(measures: Measures) -> Iterator[str]:
    """What requests cost this process. The counters grow meanwhile, so they are copied first."""
    yield from family("samovar_hub_info", "gauge", "The Hub's version.", [({"version": samovar.__version__}, 1)])
    yield from family("samovar_hub_start_time_seconds", "gauge", "When this process started.", [({}, measures.started)])
    yield from family(
        "samovar_hub_requests_running", "gauge", "Requests that are being answered.", [({}, measures.running)]
    )
    yield from family(
        "samovar_hub_requests_total", "counter", "Requests answered.",
        [({"method": method, "route": route, "status": status}, count)
         for (method, route, status), count in sorted(dict(measures.requests).items())],
    )  # fmt: skip
    for name, counts, what in (
        ("samovar_hub_sent_bytes_total", measures.sent, "Bytes of bodies sent."),
        ("samovar_hub_received_bytes_total", measures.received, "Bytes of bodies received."),
    ):
        yield from family(
            name, "counter", what, [({"route": route}, count) for route, count in sorted(dict(counts).items())]
        )
    name = "samovar_hub_request_seconds"
    yield from heading(name, "histogram", "How long requests took, to the last byte.")
    for route, durations in sorted(dict(measures.durations).items()):
        below = 0
        for bound, count in zip((*BOUNDS, "+Inf"), durations.classes, strict=True):
            below += count
            yield sample(f"{name}_bucket", {"route": route, "le": bound}, below)
        yield sample(f"{name}_sum", {"route": route}, durations.total)
        yield sample(f"{name}_count", {"route": route}, below)


def of_models(pool: Pool) -> Iterator[str]:
    """What the models of this process have done."""
    yield from family("samovar_hub_models_loaded", "gauge", "Models in memory.", [({}, len(pool.workers))])
    for name, value, what in (
        ("calls", pool.counts.calls, "Calls sent to models."),
        ("batches", pool.counts.batches, "Messages that carried them: fewer where visitors were answered together."),
        ("cancelled", pool.counts.cancelled, "Calls that nobody waited for any more."),
        ("timeouts", pool.counts.timeouts, "Calls that took too long."),
        ("loads", pool.counts.loads, "Models loaded."),
        ("evictions", pool.counts.evictions, "Models ended to make room."),
    ):
        yield from family(f"samovar_hub_model_{name}_total", "counter", what, [({}, value)])


def of_stock(stock: Stock) -> Iterator[str]:
    """What the Hub holds; the same in all its processes."""
    yield from family(
        "samovar_hub_repositories", "gauge", "Repositories.",
        [({"type": type_}, count) for type_, count in stock.repositories.items()],
    )  # fmt: skip
    yield from family(
        "samovar_hub_accounts", "gauge", "Users and organisations.",
        [({"kind": kind}, count) for kind, count in stock.accounts.items()],
    )  # fmt: skip
    for name, value, what in (
        ("objects", stock.objects, "Large files, each counted once."),
        ("object_bytes", stock.object_bytes, "Bytes of large files."),
        ("pending_refreshes", stock.pending, "Changes in git that the database does not describe yet."),
        ("disk_free_bytes", stock.disk_free, "Free space on the disk of the data folder."),
        ("disk_total_bytes", stock.disk_total, "Size of the disk of the data folder."),
    ):
        yield from family(f"samovar_hub_{name}", "gauge", what, [({}, value)])


def family(name: str, kind: str, what: str, samples: Iterable[Sample]) -> Iterator[str]:
    """The lines of one metric."""
    yield from heading(name, kind, what)
    for labels, value in samples:
        yield sample(name, labels, value)


def heading(name: str, kind: str, what: str) -> Iterator[str]:
    """What a metric is."""
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} {kind}"


def sample(name: str, labels: Mapping[str, object], value: float) -> str:
    """One line."""
    inside = ",".join(f'{key}="{escaped(str(text))}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value!r}" if inside else f"{name} {value!r}"


def escaped(text: str) -> str:
    """A label's value between quotes."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
