"""Ask people who work in Label Studio: tasks are created there, and answers collected as they come."""

import json
import logging
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from distal.config import Count, OracleSection, Weight
from distal.data.digits import encode_png
from distal.errors import ConfigError, OracleError
from distal.oracle.asked import Asked
from distal.oracle.callable import Item
from distal.oracle.classes import Classes
from distal.oracle.formats import label_studio
from distal.oracle.formats.task import IN_PLACES, Batch, Task, image_place
from distal.oracle.label_studio_server import KEY, LabelStudioServer
from distal.oracle.protocol import Images, RowIds
from distal.oracle.told import Told, take
from distal.run.directory import RunDirectory
from distal.run.generated import FIRST
from distal.run.ledger import Answer, Ledger, Query
from distal.run.predictions import read_predictions

log = logging.getLogger(__name__)

FILE = "label-studio.json"
"""Which project of which server the run asks in."""
FIRST_LOOK_S, LAST_LOOK_S = 1.0, 15.0
"""Seconds between two looks at the server: at first, and where nothing comes."""
IMPORT = 100
"""Tasks that travel in one request."""


class LabelStudioConfig(OracleSection):
    """Who answers: people in Label Studio, whose token is in the environment variable LABEL_STUDIO_API_KEY."""

    kind: Literal["label_studio"] = Field("label_studio", description="people in Label Studio")
    url: str = Field("http://localhost:8080", pattern="^https?://", description="address of the Label Studio server")
    project: Count | None = Field(
        None, description="number of a project there that is to take the tasks; null: one of the run's own is made"
    )
    images: str | None = Field(
        None,
        pattern=IN_PLACES,
        description="where Label Studio finds an image, such as s3://scans/{path} or https://host/{row_id}.png; "
        "null: images are uploaded to it",
    )
    suggest: bool = Field(
        False, description="show people what the probe takes an image for; it saves clicks, and sways them"
    )
    wait_s: Weight | None = Field(
        0.0,
        description="seconds without an answer after which the run ends and gives its memory and GPUs back, to be "
        "resumed; null: it waits",
    )


class LabelStudioOracle:
    """Create a task for each row that is asked, once, and read what people answer.

    Args:
        token: of the user in whose name tasks are created.

    Raises:
        ConfigError: there is no token. OracleError: of every method, where the server cannot be reached or refuses.
    """

    def __init__(
        self,
        run: RunDirectory,
        images: Images,
        classes: Classes,
        config: LabelStudioConfig,
        max_pixels: int,
        token: str | None = None,
    ) -> None:
        token = os.environ.get(KEY, "") if token is None else token
        if not token.strip():
            raise ConfigError(
                f"oracle.kind: 'label_studio' needs a token, and the environment variable {KEY} is not set.\n"
                f"Copy one from Label Studio's Account & Settings: export {KEY}=..."
            )
        self._run, self._images, self._classes = run, images, classes
        self._config, self._max_pixels = config, max_pixels
        self._server = LabelStudioServer(config.url, token.strip())
        self._ledger = Ledger(run, len(classes.names))
        self._number: int | None = None
        self._said: set[str] = set()
        self.problems: list[str] = []

    def submit(self, query: Query) -> None:
        """Create the tasks that are not there yet: what the server has is asked first, so a kill makes none twice."""
        project = self._project()
        there = {label_studio.row_of(task, self._images.fingerprint) for task in self._server.tasks(project)}
        pending = self._ledger.pending(query)
        missing = pending[[row_id not in there for row_id in pending.tolist()]]
        asked = Asked(query, missing, self._images, self._classes.names, self._max_pixels)
        for start in range(0, len(asked), IMPORT):
            self._server.import_tasks(project, self._tasks(project, query, asked[start : start + IMPORT]))
        if len(asked):
            log.info("round %d: %d tasks in %s", query.round, len(asked), self._place(project))

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield what is answered since the last look, until all is, or nothing came for `wait_s`."""
        project, left = self._project(), set(pending.tolist())
        since, pause = time.monotonic(), FIRST_LOOK_S
        while True:
            answers = [answer for answer in self._answers(project, query) if answer.row_id in left]
            if answers:
                yield answers
                left -= {answer.row_id for answer in answers}
                since, pause = time.monotonic(), FIRST_LOOK_S
            wait_s = self._config.wait_s
            if not left or (wait_s is not None and time.monotonic() - since >= wait_s):
                return
            time.sleep(pause)
            pause = min(2 * pause, LAST_LOOK_S)

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say where to answer, and what to run then.

        Raises:
            OracleError: an answer there cannot be taken; those that could be are kept.
        """
        labels = f"waiting for {len(pending)} label" + ("" if len(pending) == 1 else "s")
        go_on = f"{labels}: answer at {self._place(self._project())}, then run: distal resume {self._run.uri}"
        if not self.problems:
            return go_on
        first, *more = self.problems
        raise OracleError(f"not taken: {first}" + (f" (and {len(more)} more)" if more else "") + f"\n{go_on}")

    def _answers(self, project: int, query: Query) -> list[Answer]:
        """Return what can be taken of all answers, of several to a row the first; say once what cannot."""
        tasks = [task for task in self._server.tasks(project) if task.get("annotations")]
        asked = set(query.row_ids.tolist())
        here = [task for task in tasks if label_studio.row_of(task, self._images.fingerprint) in asked]
        brought = label_studio.read(here, self._images.fingerprint, time.time())
        first: dict[object, Told] = {}
        for told in sorted(brought.told, key=lambda told: told.time):
            first.setdefault(told.row_id, told)
        taken = take(self._ledger, self._classes, list(first.values()))
        self.problems = [*brought.problems, *taken.refused]
        for problem in self.problems:
            if problem not in self._said:
                log.warning("not taken: %s", problem)
        self._said |= set(self.problems)
        return taken.answers.get(query.round, [])

    def _tasks(self, project: int, query: Query, items: Sequence[Item]) -> list[dict[str, Any]]:
        """Return tasks as they travel; the server has their images then, or finds them."""
        places = self._config.images
        sent = [item for item in items if places is None or item.row_id >= FIRST]  # what the run drew lies nowhere else
        at = {} if places is None else {f"{i.row_id}.png": image_place(places, i.row_id, i.path) for i in items}
        if sent:
            at |= self._server.upload(project, {f"{item.row_id}.png": encode_png(item.image) for item in sent})
        said = read_predictions(self._run, query.round)
        suggestions = {} if said is None else said.likeliest(self._classes.names)
        scores = dict(zip(query.row_ids.tolist(), query.scores.tolist(), strict=True))
        batch = Batch([], query.round, self._images.fingerprint, self._classes.names)
        return [
            label_studio.as_json(
                Task(
                    item.row_id,
                    at[f"{item.row_id}.png"],
                    item.path,
                    scores[item.row_id],
                    (item.image.shape[1], item.image.shape[0]),
                    suggestions.get(item.row_id),
                ),
                batch,
            )
            for item in items
        ]

    def _project(self) -> int:
        """Return the project that takes the tasks: the one that is configured, or the run's own, made if need be."""
        if self._number is None:
            self._number = self._config.project or self._kept() or self._own()
            self._check(self._number)
            if self._number != self._kept():
                kept = {"url": self._server.url, "project": self._number}
                self._run.write(FILE, (json.dumps(kept) + "\n").encode())
        return self._number

    def _kept(self) -> int | None:
        """Return the project that the run asks in since its first question; None where another server is asked now."""
        if not self._run.has(FILE):
            return None
        try:
            kept = json.loads(self._run.read(FILE))
            return int(kept["project"]) if kept["url"] == self._server.url else None
        except (ValueError, KeyError, TypeError):
            return None  # found again by its description

    def _own(self) -> int:
        """Find the run's own project, or make it: a kill may have come between that and writing it down."""
        description = f"Images that the run {self._run.uri} asks for. Made by distal, which finds it by this text."
        found = self._server.find_project(description)
        if found is not None:
            return found
        labeling = label_studio.labeling(self._classes.names)
        return self._server.create_project(self._run.name[:50], description, labeling, self._config.suggest)

    def _check(self, project: int) -> None:
        """Require the project to ask for the run's classes. Raises ConfigError."""
        missing = set(self._classes.names) - label_studio.choices(self._server.project(project)["label_config"])
        if missing:
            raise ConfigError(
                f"oracle.project: {self._place(project)} lacks the choice {min(missing)!r} of a control "
                f"'{label_studio.CONTROL}'.\n"
                "Paste the labeling.xml of distal export-tasks there, or leave oracle.project out."
            )

    def _place(self, project: int) -> str:
        return f"{self._server.url}/projects/{project}"
