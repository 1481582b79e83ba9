"""The pieces of the report's page: curves as inline SVG with values under the pointer, tables, both languages."""

from __future__ import annotations

import html
import math
from typing import Any

Curve = list[tuple[int, float]]
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 260, 58, 30, 12
NAMES = {"loss": "Ошибка (loss)", "learning_rate": "Скорость обучения", "grad_norm": "Норма градиента"}


def both(english: str, russian: str) -> str:
    """A text in two languages, of which the page shows one."""
    return f'<span lang="en">{html.escape(english)}</span><span lang="ru">{html.escape(russian)}</span>'


def tile(english: str, russian: str, value: str) -> str:
    """A number with its name."""
    return f'<div class="tile"><b>{html.escape(value)}</b>{both(english, russian)}</div>'


def shown(value: Any) -> str:
    """A value in a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A table; empty where there is no row."""
    if not rows:
        return ""
    top = "".join(f"<th>{html.escape(one)}</th>" for one in head) if any(head) else ""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(shown(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers between two others."""
    if not high > low:
        return [low]
    step = (high - low) / count
    size = 10 ** math.floor(math.log10(step))
    step = next(size * one for one in (1, 2, 5, 10) if size * one >= step)
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def thinned(points: Curve, most: int = 600) -> Curve:
    """So many points at most, the last among them."""
    if len(points) <= most:
        return points
    return [points[round(one * (len(points) - 1) / (most - 1))] for one in range(most)]


def drawn(title: str, lines: dict[str, Curve], best: int | None) -> str:
    """One group of curves as a figure."""
    finite = {name: [p for p in points if math.isfinite(p[1])] for name, points in lines.items()}
    finite = {name: thinned(points) for name, points in finite.items() if points}
    if not finite:
        return ""
    steps = [step for points in finite.values() for step, _ in points]
    values = [value for points in finite.values() for _, value in points]
    low, high, first, last = min(values), max(values), min(steps), max(steps)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    low, high = low - room, high + room

    def x(step: float) -> float:
        return LEFT + (step - first) / max(last - first, 1) * (WIDTH - LEFT - 12)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for value in ticks(low, high):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for step in ticks(first, last, 6):
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{step:g}</text>')
    if best is not None and "evaluation" in finite:
        parts.append(f'<line class="best" x1="{x(best):.1f}" x2="{x(best):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for name, points in finite.items():
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
        parts.append(f'<polyline class="{name}" points="{path}"/>')
        if len(points) <= 60:
            parts += [f'<circle class="{name}" cx="{x(s):.1f}" cy="{y(v):.1f}" r="3"/>' for s, v in points]
    series = html.escape(
        "[" + ",".join(f'["{n}",[{",".join(f"[{s},{v:.6g}]" for s, v in p)}]]' for n, p in finite.items()) + "]"
    )
    words = {"training": both("training", "обучение"), "evaluation": both("evaluation", "проверка")}
    legend = " ".join(f'<span class="key {name}">{words[name]}</span>' for name in finite)
    heading = both(title.replace("_", " "), NAMES.get(title, title.replace("_", " ")))
    return (
        f'<figure data-series="{series}" data-first="{first}" data-last="{last}"><figcaption>{heading}'
        f"<output></output>{legend}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(parts)}</svg></figure>'
    )


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>
:root{{color-scheme:light dark;--ink:#222;--paper:#fff;--line:#ddd;--train:#b5532a;--eval:#2a6cb5}}
@media(prefers-color-scheme:dark){{:root{{--ink:#ddd;--paper:#181818;--line:#3a3a3a;--train:#e58a5f;--eval:#6aa9ef}}}}
body{{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1360px;margin:2em auto;
padding:0 1em}}
.tiles{{display:flex;flex-wrap:wrap;gap:.8em;margin:1em 0}}
.tile{{border:1px solid var(--line);border-radius:8px;padding:.6em 1em}}.tile b{{display:block;font-size:1.5em}}
.curves{{display:grid;grid-template-columns:repeat(auto-fit,minmax(420px,1fr));gap:1em}}
figure{{margin:0;border:1px solid var(--line);border-radius:8px;padding:.6em}}figcaption{{display:flex;gap:1em}}
output{{margin-left:auto;font-variant-numeric:tabular-nums}}svg{{width:100%}}svg text{{font-size:11px;fill:var(--ink)}}
polyline{{fill:none;stroke-width:2}}.grid{{stroke:var(--line)}}.best{{stroke:#888;stroke-dasharray:3 3}}
.training{{stroke:var(--train)}}.evaluation{{stroke:var(--eval)}}circle{{stroke:none!important}}
circle.training{{fill:var(--train)}}circle.evaluation{{fill:var(--eval)}}
.key{{stroke:none}}.key.training{{color:var(--train)}}.key.evaluation{{color:var(--eval)}}
table{{border-collapse:collapse;margin:.5em 0}}td,th{{border-bottom:1px solid var(--line);padding:.2em .8em .2em 0;
text-align:left}}
html[lang=en] span[lang=ru],html[lang=ru] span[lang=en]{{display:none}}select{{float:right}}
</style></head><body>
<select aria-label="language"><option value="en">English</option><option value="ru">Русский</option></select>
<h1>{title}</h1><div class="tiles">{tiles}</div><div class="curves">{curves}</div>
<h2><span lang="en">Evaluations</span><span lang="ru">Проверки</span></h2>{evaluations}
<h2><span lang="en">Arguments that were chosen</span><span lang="ru">Выбранные параметры</span></h2>{changed}
<details><summary><span lang="en">All others</span><span lang="ru">Все остальные</span></summary>{rest}</details>
<h2><span lang="en">Environment</span><span lang="ru">Среда</span></h2>{environment}
<script>
const choose=document.querySelector("select"),root=document.documentElement;
const say=l=>{{root.lang=l;choose.value=l}};
say(new URLSearchParams(location.search).get("lang")||((navigator.language||"en").startsWith("ru")?"ru":"en"));
choose.onchange=()=>say(choose.value);
for(const f of document.querySelectorAll("figure")){{
const series=JSON.parse(f.dataset.series),first=+f.dataset.first,last=+f.dataset.last,out=f.querySelector("output");
f.querySelector("svg").onmousemove=e=>{{const b=e.currentTarget.getBoundingClientRect();
const at=first+((e.clientX-b.left)/b.width*640-58)/(640-58-12)*(last-first);
out.textContent=series.map(([n,p])=>{{const q=p.reduce((a,c)=>Math.abs(c[0]-at)<Math.abs(a[0]-at)?c:a);
return q[0]+": "+q[1]}}).join("   ")}}}}
</script></body></html>
"""
