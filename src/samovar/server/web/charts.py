"""Small charts as SVG of plain shapes: they need no script, and take their colours from the page's style."""

from __future__ import annotations

from samovar.server.web.markup import escape

# Characters of a name beside its bar.
LONGEST = 40


def days(values: list[tuple[str, int]], width: int = 240, height: int = 48) -> str:
    """Bars of counts by day, with a title on each."""
    most = max(count for _, count in values) or 1
    step = width / len(values)
    shapes = "".join(
        f'<rect x="{step * at:.1f}" y="{height - high:.1f}" width="{step - 1:.1f}" height="{high:.1f}">'
        f"<title>{escape(day)}: {count:,}</title></rect>"
        for at, (day, count) in enumerate(values)
        for high in [max(1.0, height * count / most)]
    )
    total = sum(count for _, count in values)
    return (
        f'<svg class="chart days" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{total:,} / {len(values)}">{shapes}</svg>'
    )


def columns(values: list[tuple[str, int]], width: int = 120, height: int = 28) -> str:
    """Small bars above a column of a table."""
    most = max((count for _, count in values), default=0) or 1
    step = width / max(1, len(values))
    shapes = "".join(
        f'<rect x="{step * at:.1f}" y="{height - high:.1f}" width="{step * 0.9:.1f}" height="{high:.1f}">'
        f"<title>{escape(name)}: {count:,}</title></rect>"
        for at, (name, count) in enumerate(values)
        for high in [height * count / most]
    )
    return f'<svg class="chart" viewBox="0 0 {width} {height}" aria-hidden="true">{shapes}</svg>'


def bars(rows: list[tuple[str, float]], width: int = 360, whole: float = 1.0) -> str:
    """Horizontal bars of values between 0 and `whole`, each with its name and number."""
    row, bar = 34, 10
    parts = []
    for at, (name, value) in enumerate(rows):
        top = at * row
        label = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        parts.append(
            f'<text x="0" y="{top + 13}">{escape(label)}</text>'
            f'<text x="{width}" y="{top + 13}" text-anchor="end">{number(value)}</text>'
            f'<rect class="track" x="0" y="{top + 19}" width="{width}" height="{bar}" rx="3"/>'
            f'<rect x="0" y="{top + 19}" width="{width * value / whole:.1f}" height="{bar}" rx="3"/>'
        )
    summary = "; ".join(f"{name}: {number(value)}" for name, value in rows)
    return (
        f'<svg class="chart bars" viewBox="0 0 {width} {row * len(rows)}" role="img" aria-label="{escape(summary)}">'
        f"{''.join(parts)}</svg>"
    )


def number(value: float) -> str:
    """A value as it stands beside its bar."""
    return f"{value:.3f}" if value <= 1 else f"{value:.4g}"
