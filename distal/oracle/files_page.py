"""Show a question on one page that needs no server: every image, the classes, and how far the run is.

It says what the labeling page says (`distal.label`), as of the moment of asking, and like it follows the browser into
the dark; names and paths are text in it, never HTML.
"""

import html
import json
from collections import Counter
from collections.abc import Mapping, Sequence

from distal.oracle.sheet import SHEET
from distal.run.directory import RunDirectory, round_path
from distal.run.ledger import Ledger

STYLE = """
:root { color-scheme: light dark; --pale: light-dark(#626a73, #9aa2ab); --line: light-dark(#dfe2e6, #31373e);
  --sheet: light-dark(#f4f5f7, #1d2126); }
body { font: 16px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; margin: 0;
  background: light-dark(#ffffff, #15181c); color: light-dark(#1a1d21, #e8eaed); }
header { padding: 14px 20px; border-bottom: 1px solid var(--line); }
header p { margin: 4px 0 0; color: var(--pale); }
.all { display: grid; grid-template-columns: minmax(0, 1fr) 300px; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: 12px; padding: 16px 20px;
  align-content: start; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 12px; overflow: hidden; background: var(--sheet); }
img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated; display: block; }
figcaption { padding: 6px 10px; font-size: .88em; color: var(--pale); overflow-wrap: anywhere; }
figcaption b { color: light-dark(#1a1d21, #e8eaed); }
aside { padding: 16px 20px; }
ol { list-style: none; margin: 0 0 16px; padding: 0; }
li { display: flex; gap: 12px; padding: 6px 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
li b { min-width: 1.75em; color: var(--pale); }
li span { flex: 1; font-weight: 600; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 4px 14px; margin: 0; font-size: .88em; }
dt { color: var(--pale); overflow-wrap: anywhere; }
dd { margin: 0; text-align: right; }
@media (max-width: 760px) { .all { display: block; } }
"""


def page_of(run: RunDirectory, round: int, paths: Mapping[int, str], classes: Sequence[str], ledger: Ledger) -> str:
    """Return the page of a round's question. paths: by row id, where the pool has each image from."""
    labels = Counter(answer.label for answer in ledger.corrected())
    names = "\n".join(
        f"<li><b>{index}</b><span>{html.escape(name)}</span>{labels[index] or ''}</li>"
        for index, name in enumerate(classes)
    )
    figures = "\n".join(
        f'<figure><a href="{row_id}.png"><img src="{row_id}.png" alt="Image {row_id}"></a>'
        f"<figcaption><b>{row_id}</b> {html.escape(path)}</figcaption></figure>"
        for row_id, path in paths.items()
    )
    facts = "\n".join(
        f"<dt>{html.escape(name)}</dt><dd>{value}</dd>" for name, value in _facts(run, round, labels, ledger.cost())
    )
    images = f"{len(paths)} image" + ("" if len(paths) == 1 else "s")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Round {round}: {images} to label</title>\n<style>{STYLE}</style>\n"
        f"<header><strong>{html.escape(run.name)}</strong> · Round {round} · {images} to label\n"
        f"<p>Write into {SHEET}, column label, a class or its number. A click shows an image in its own size.</p>"
        f'</header>\n<div class="all"><main>\n{figures}\n</main>\n'
        f'<aside aria-label="Classes"><ol start="0">\n{names}\n</ol>\n<dl>\n{facts}\n</dl></aside></div>\n</html>\n'
    )


def _facts(run: RunDirectory, round: int, labels: Counter[int | None], cost: float) -> list[tuple[str, str]]:
    """Return how far the run was when it asked: answers, their cost, and what the last round estimates to be left."""
    facts = [
        ("This run", f"{labels.total():,} images answered"),
        ("Cost so far", f"{cost:,g}"),
        ("No class", f"{labels[None]:,}"),
    ]
    if round > 1 and run.has(path := round_path(round - 1, "metrics.json")):
        for found in json.loads(run.read(path)).get("recall") or []:
            facts.append((f"Found of {found['class']}", f"{found['found']:,} of about {found['total']:,}"))
    return facts
