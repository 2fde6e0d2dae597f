"""What the judging page asks for and tells. It says nothing of what is real, in words, names or sizes of images."""

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from starlette.routing import Route

from distal.data.generated import encode_image
from distal.label.labeling import NAME, pace_of
from distal.label.server import asked, shown, told
from distal.label.trials import Trial, Trials
from distal.run.directory import RunDirectory
from distal.run.judgements import KINDS, Judgement, Kind, judgements_of, tally

MOST_TRIALS = 10**9
"""Nobody judges as many."""


class Judging:
    """Answer the judging page of one round; the caller holds the run's lock `judge`.

    person: who it is where a browser does not say.
    """

    def __init__(self, run: RunDirectory, round: int, classes: tuple[str, ...], trials: Trials, person: str) -> None:
        self._run, self._round, self._classes, self._trials, self._person = run, round, classes, trials, person
        self._journal = judgements_of(run, round)
        self._journal.gather()
        self.judged = self._journal.new()
        self._tokens = {judgement.token for judgement in self.judged}
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Return what the page reaches."""
        return [
            asked("/api/start", self.start),
            asked("/api/trial", self.trial),
            told("/api/judge", self.judge),
            shown("/image/{kind}/{trial}/{side}", self.image),
        ]

    def start(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what does not change while the page is open."""
        return {"run": self._run.name, "round": self._round, "person": self._person}

    def trial(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the number of a person's next trial, and how far all are."""
        person, kind = self._person_of(fields), _kind(fields)
        done = [judgement.trial for judgement in self.judged if (judgement.person, judgement.kind) == (person, kind)]
        trial = self._trials.trial(person, kind, max(done, default=0) + 1)
        counts = {name: value for name, value in asdict(tally(self.judged, kind)).items() if value == value}
        named = kind == "class" or self._trials.known_classes
        return {
            "trial": trial.number,
            "class_name": self._classes[trial.class_index] if named else None,
            "tally": {"rate": None, "low": None, "high": None, **counts},
        }

    def judge(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a judgement, durable before the next trial is told; one that was sent before is kept once."""
        person, kind, token = self._person_of(fields), _kind(fields), str(fields["token"])[:100]
        number, choice = int(fields["trial"]), int(fields["choice"])
        if not 0 < number < MOST_TRIALS or choice not in (0, 1):
            raise ValueError("expected a trial from 1, and 0 or 1 for choice")
        trial = self._trials.trial(person, kind, number)
        with self._lock:
            same = (person, kind, number)
            if token not in self._tokens and same not in {(j.person, j.kind, j.trial) for j in self.judged}:
                judgement = Judgement(
                    number=len(self.judged) + 1,
                    person=person,
                    kind=kind,
                    trial=number,
                    class_index=trial.class_index,
                    generated=any(trial.sides),
                    wrong=_wrong(trial, choice),
                    time=time.time(),
                    seconds=pace_of(fields),
                    token=token,
                )
                self._journal.append(judgement)
                self.judged.append(judgement)
                self._tokens.add(token)
        return self.trial(fields)

    def image(self, path: Mapping[str, Any], fields: Mapping[str, str]) -> tuple[bytes, str, str]:
        """Return the image at one side of a person's trial."""
        kind, number, side = _kind(path), int(path["trial"]), int(path["side"])
        if not 0 < number < MOST_TRIALS:
            raise KeyError(number)
        trial = self._trials.trial(self._person_of(fields), kind, number)
        if not 0 <= side < len(trial.sides):
            raise KeyError(side)
        return encode_image(self._trials.image(trial, side)), "image/png", ""

    def _person_of(self, fields: Mapping[str, Any]) -> str:
        return "".join(c for c in str(fields.get("person", "")) if c.isprintable()).strip()[:NAME] or self._person


def _wrong(trial: Trial, choice: int) -> bool:
    """Say whether a generated image was taken for the real one, or an image for none of its class."""
    return trial.sides[choice] if trial.kind == "real" else choice == 0


def _kind(fields: Mapping[str, Any]) -> Kind:
    for kind in KINDS:
        if fields["kind"] == kind:
            return kind
    raise ValueError(f"kind: expected {' or '.join(KINDS)}")
