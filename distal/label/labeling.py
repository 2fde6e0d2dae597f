"""What the labeling page asks for and tells: rows and images, decisions, groups, second looks."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from starlette.routing import Route

from distal.label.agreement import agreement
from distal.label.desk import Desk, Ruling
from distal.label.groups import Look, grouped
from distal.label.images import ShownImages
from distal.label.review import doubted, foretold
from distal.label.server import asked, shown, told
from distal.run.directory import RunDirectory, round_path

AHEAD = 8
"""Rows that a page is given beyond the one it shows."""
GROUPED = 240
"""Rows that are put into groups at a time: the first of the queue."""
REVIEWED = 60
NAME = 60
"""Most characters of a person's name."""


@dataclass
class Labeling:
    """Answer the labeling page.

    look: what images look like, for the groups, made when it is first needed. budget: labels of the whole run.
    person: who it is where a browser does not say.
    """

    run: RunDirectory
    desk: Desk
    images: ShownImages
    classes: tuple[str, ...]
    budget: int
    seed: int
    person: str
    look: Callable[[], Look]
    _looks: Look | None = None
    _recall: dict[int, Any] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        """Return what the page reaches."""
        return [
            asked("/api/start", self.start),
            asked("/api/next", self.next),
            asked("/api/groups", self.groups),
            asked("/api/review", self.review),
            asked("/api/suggestion", self.suggestion),
            told("/api/decide", self.decide),
            told("/api/undo", self.undo),
            told("/api/skip", self.skip),
            told("/api/leave", self.leave),
            shown("/image/{row_id}", self.image),
        ]

    def start(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what does not change while the page is open."""
        return {"run": self.run.name, "classes": list(self.classes), "person": self.person, "budget": self.budget}

    def next(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a page shows next, and how far all is."""
        return self._view(fields)

    def decide(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a decision, then say what comes next."""
        label = fields["label"]
        ruling = Ruling(
            row_ids=tuple(_whole(row_id) for row_id in fields["row_ids"]),
            label=None if label is None else _whole(label),
            token=_text(fields["token"]),
            why=str(fields.get("why", "")),
            seconds=pace_of(fields),
            suggested=bool(fields.get("suggested", False)),
            settles=bool(fields.get("settles", False)),
        )
        decision = self.desk.decide(*self._who(fields), ruling)
        return {"number": decision.number, **self._view(fields)}

    def undo(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Take a person's last decision back, then say what comes next: its rows."""
        undone = self.desk.undo(*self._who(fields), _text(fields["token"]))
        rows = [] if undone is None else list(undone.row_ids)
        return {"undone": rows, "label": None if undone is None else undone.label, **self._view(fields)}

    def skip(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Let rows come later, then say what comes next."""
        self.desk.skip(_text(fields["page"]), [_whole(row_id) for row_id in fields["row_ids"]])
        return self._view(fields)

    def leave(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Let go of what a page was shown: it was closed, or shows something else."""
        self.desk.leave(_text(fields["page"]))
        return {}

    def groups(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the first rows of the queue in groups that look alike; the page holds those of the first group."""
        page, _ = self._who(fields)
        rows = self.desk.coming(page, GROUPED)
        if self._looks is None:
            self._looks = self.look()
        groups = grouped(np.array(rows, dtype=np.int64), self._looks, self.seed)
        held: list[int] = []
        while groups and not held:
            others = set(self.desk.hold(page, groups[0]))
            held = [row_id for row_id in groups.pop(0) if row_id not in others]
        self.images.ahead(held)
        return {"group": [self._item(row_id) for row_id in held], "groups": len(groups), **self._progress(fields)}

    def review(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return answers that are worth a second look: `disputed`, `doubted`, or `mine`, the person's own last ones."""
        _, person = self._who(fields)
        kind = fields["kind"]
        if kind == "disputed":
            rows = self.desk.disputed()
        elif kind == "doubted":
            rows = doubted(self.run, self.desk.opinions, REVIEWED)
        elif kind == "mine":
            rows = self.desk.decided_by(person, REVIEWED)
        else:
            raise ValueError("kind: expected disputed, doubted or mine")
        found = agreement(self.desk.answers(), self.seed)
        items = [{**self._item(row_id), **self._answers(row_id)} for row_id in rows[:REVIEWED]]
        return {
            "items": items,
            "more": max(0, len(rows) - REVIEWED),
            "agreement": None if found is None else asdict(found),
            **self._progress(fields),
        }

    def suggestion(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the probe said of a row before it was asked; only for a person who asks, for it biases."""
        row_id = _whole(int(fields["row_id"]))
        if not self.desk.asked(row_id):
            raise ValueError("the run never asked for this row")
        return {"said": foretold(self.run, self.desk.round_of(row_id), row_id, self.classes)[:3]}

    def image(self, path: Mapping[str, Any], fields: Mapping[str, str]) -> tuple[bytes, str, str]:
        """Return a row's image, of rows alone that the run has asked for."""
        row_id = int(path["row_id"])
        if not self.desk.asked(row_id):
            raise KeyError(row_id)
        get = {"small": self.images.small, "plain": self.images.plain}.get(fields.get("as", ""), self.images.get)
        found = get(row_id)
        return found.data, found.media_type, found.path

    def _who(self, fields: Mapping[str, Any]) -> tuple[str, str]:
        person = "".join(c for c in str(fields.get("person", "")) if c.isprintable()).strip()[:NAME]
        return _text(fields["page"]), person or self.person

    def _view(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        page, person = self._who(fields)
        count = min(max(int(fields.get("count", AHEAD)), 0), 64)
        rows = self.desk.next(page, person, count)
        self.images.ahead(rows)
        return {"items": [self._item(row_id) for row_id in rows], **self._progress(fields)}

    def _item(self, row_id: int) -> dict[str, Any]:
        again = len(self.desk.opinions.of(row_id)) > 0
        return {"row_id": row_id, "round": self.desk.round_of(row_id), "again": again}

    def _answers(self, row_id: int) -> dict[str, Any]:
        said = [
            {"person": person, "label": decision.label, "why": decision.why}
            for person, decision in self.desk.opinions.of(row_id).items()
        ]
        counts = self.desk.opinions.outcome(row_id)
        return {"answers": said, "label": None if counts is None else counts.label}

    def _progress(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        _, person = self._who(fields)
        progress = self.desk.progress
        by_class = [progress.by_class[index] for index in range(len(self.classes))]
        waiting = self.desk.waiting()
        return {
            "progress": {
                "round": self.desk.round,
                "done": progress.done,
                "total": progress.total,
                "waiting": waiting,
                "answered": progress.answered,
                "cost": round(progress.cost, 6),
                "classes": by_class,
                "declined": progress.by_class[None],
                "recall": self._found(),
                "you": progress.of_person(person),
                "run": "asks" if waiting else self._at_work(),
            }
        }

    def _found(self) -> Any:
        """Return the last estimate of how much of each class is found, None where there is none."""
        last = self.desk.round - 1
        if last < 1:
            return None
        if last not in self._recall:
            path = round_path(last, "metrics.json")
            metrics = json.loads(self.run.read(path)) if self.run.has(path) else {}
            self._recall = {last: metrics.get("recall")}
        return self._recall[last]

    def _at_work(self) -> str:
        """Say what the run does while it asks nothing: works, has ended, or was left."""
        if self.run.has("stopped.json"):
            return "ended"
        return "works" if self.run.holder("driver") is not None else "left"


def pace_of(fields: Mapping[str, Any]) -> float:
    """Return for how many seconds a person looked, as far as the page says so, a day at most."""
    seconds = float(fields.get("seconds", 0.0))
    return min(max(seconds, 0.0), 86400.0) if math.isfinite(seconds) else 0.0


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**62:
        raise ValueError(f"{str(value)[:40]!r} is no row or class")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 100:
        raise ValueError("expected a text of 1 to 100 characters")
    return value
