"""Say what to do next with a run, as commands that can be typed: what `distal status` and the report end with."""

import shlex
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from distal.config import Config
from distal.errors import ConfigError
from distal.query import STRATEGIES
from distal.report.collect import RunRecord

ENOUGH = 50
"""Confirmed images of a class from which its generator is more than a guess: below 20 to 50 published ones harm."""


@dataclass(frozen=True)
class Step:
    """Hold one thing to do: a sentence, and the command that does it, if one does."""

    text: str
    command: str = ""


def next_steps(record: RunRecord, at_work: bool = False) -> list[Step]:
    """Return what may come next, the likeliest first. at_work: a driver writes this and goes on by itself."""
    config = settings(record.config)
    if config is None:
        return []
    steps = (
        [Step("The run is at work; this page is written again as it goes on.")]
        if at_work
        else _going_on(record, config)
    )
    weakest = _weakest(record)
    if weakest is not None:
        name, why = weakest
        out = shlex.quote(f"{record.name}-weakest.png")
        look = f"distal generate {shlex.quote(record.uri)} --out {out} --class {shlex.quote(name)} --per-class 40"
        steps.append(Step(f"Weakest class: {name} ({why}). Give it more labels; look at more of its images:", look))
    few = _few(record) if record.trained else ""
    if few:
        steps.append(
            Step(
                f"Fewer than {ENOUGH} confirmed images: {few}. Images generated of so few are often near copies, "
                "and more often harm a classifier than help it. Before you use them, see whether they do:",
                f"distal prove {shlex.quote(record.uri)}",
            )
        )
    if record.trained and not at_work:
        generate = f"distal generate {shlex.quote(record.uri)} --out generated.parquet"
        steps.append(
            Step("If they do not, use them, filtered:", f"{generate} --balance --filter")
            if few
            else Step("Use the generator:", f"{generate} --per-class 1000")
        )
    return steps


def take_up(config: Config, uri: str, *changes: str) -> Step:
    """Return how a run goes on: by `distal resume`, or by its script where that alone holds the strategy or oracle."""
    own = ["oracle"] if config.oracle.kind == "callable" else []
    own += ["strategy"] if _is_foreign(config.query.strategy) else []
    if own:
        what = f" with {' '.join(changes)} in its configuration" if changes else ""
        return Step(f"run the script that began it again{what}: its {' and '.join(own)} came from there")
    return Step("", " ".join(["distal resume", shlex.quote(uri), *changes]))


def changes_to_go_on(config: Config, reason: str) -> list[str] | None:
    """Return the overrides without which a run that ended for this reason ends again at once; None: nothing helps."""
    if reason == "pool":
        return None
    changes = ["stop.fid=null"] if reason == "goal" else ["stop.patience=null"] if reason == "patience" else []
    if reason == "budget" and config.stop.labels is not None:
        changes.append("stop.labels=null")
    return [*changes, f"rounds={2 * config.rounds}"]


def settings(tree: dict[str, Any]) -> Config | None:
    """Return the configuration that a run's config.yaml holds, None where it is none."""
    try:
        return Config.model_validate({key: value for key, value in tree.items() if key != "resolved"})
    except ValidationError:
        return None


def _going_on(record: RunRecord, config: Config) -> list[Step]:
    open_round = next((r for r in record.rounds if not r.committed), None)
    if record.stopped:
        changes = changes_to_go_on(config, str(record.stopped.get("reason")))
        if changes is None:
            return [Step("The run has ended, and its pool has no row left to ask.")]
        begin = "The run has ended. For more labels and rounds"
    elif open_round is not None and open_round.count("waiting"):
        changes, begin = [], f"{open_round.count('waiting')} labels of round {open_round.round} are awaited. To go on"
        if config.oracle.kind == "files":
            folder = f"{record.uri}/rounds/{open_round.round:04d}/to-label"
            begin = f"Fill in {folder}/labels.csv (its index.html shows the images). Then go on"
        elif config.oracle.kind == "page":
            begin = f"Label them in a browser: distal label {shlex.quote(record.uri)}, or together with the run"
    else:
        changes, begin = [], "The run was left before its end. To go on"
    how = take_up(config, record.uri, *changes)
    return [Step(f"{begin}{': ' + how.text if how.text else ':'}", how.command)]


def _weakest(record: RunRecord) -> tuple[str, str] | None:
    """Return the class of the lowest agreement in the last committed round, and why, if there are any."""
    if not record.trained:
        return None
    lines = [s for s in record.trained[-1][1].scores if s.name == "agreement_class" and s.class_name is not None]
    known = [(s.value, s.class_name) for s in lines if s.value is not None]
    if not known or min(known)[0] >= 0.98:
        return None
    value, name = min(known)
    return str(name), f"{100 * value:.0f}% of its generated images are taken for it"


def _few(record: RunRecord) -> str:
    """Name the classes of fewer than ENOUGH confirmed images, with their numbers, the fewest first."""
    resolved = record.config.get("resolved")
    names = resolved.get("classes") if isinstance(resolved, dict) else None
    counts = [(record.confirmed.get(label, 0), str(name)) for label, name in enumerate(names or [])]
    return ", ".join(f"{name} ({count})" for count, name in sorted(counts) if count < ENOUGH)


def _is_foreign(strategy: str) -> bool:
    try:
        STRATEGIES.find(strategy)
    except ConfigError:
        return True
    return False
