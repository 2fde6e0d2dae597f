"""Let a member of a population take over another's run: its labels, its rounds and its weights, under changed values.

Each take-over begins a new generation, a run directory of its own (`member-003.g2`), so that what a run did stays as it
was. The member's last generation is the one that counts.
"""

import itertools
import re

from distal.checkpoints import BATCH, read_saved
from distal.data.references import FILE as REFERENCES
from distal.data.tables import TABLES
from distal.errors import RunError
from distal.resolve import make_config, print_config, with_values
from distal.run.directory import COMMITTED, CONFIG, RunDirectory, round_path
from distal.run.given import GIVEN
from distal.sweep.space import Point
from distal.sweep.trials import TRIAL, TRIALS, read_note, write_note

_TRIAL = re.compile(r"[0-9a-f]{8}-s\d+|member-\d{3,}(\.g\d+)?")
ONCE = ("skipped.json", "environment.json", GIVEN, REFERENCES, TABLES)


def generations(directory: RunDirectory, member: str) -> list[RunDirectory]:
    """Return the run directories of a member of the population, oldest first; none before it was begun.

    They are numbered without a gap: as many are looked for as there are, and the folder of all trials is not listed.
    """
    names = itertools.chain([member], (f"{member}.g{number}" for number in itertools.count(1)))
    return list(itertools.takewhile(lambda run: run.has(TRIAL), (directory.inside(TRIALS, name) for name in names)))


def current_runs(directory: RunDirectory) -> list[RunDirectory]:
    """Return the run directory of every trial that was begun: of a population's member, its last generation."""
    return list({member_of(run): run for run in _begun(directory)}.values())


def member_of(run: RunDirectory) -> str:
    """Return the member that a run is of, whichever generation; of another trial, its name."""
    return _generation(run.name)[0]


def adopt(directory: RunDirectory, source: RunDirectory, rounds: int, member: str, point: Point) -> RunDirectory:
    """Begin a member's next generation as a copy of another run's first rounds; return its directory.

    Args:
        source: the run that is taken over, committed up to `rounds`. point: the values of the new generation.

    Raises:
        RunError: the source has not come so far.
    """
    own = generations(directory, member)
    origin = {"run": source.name, "round": rounds}
    latest = read_note(own[-1], TRIAL) or {}
    if latest.get("origin") == origin and latest["point"] == point:
        return own[-1]  # this take-over was made before, by a process that died
    weights = round_path(max(1, rounds), "checkpoint", "manifest.json")
    if rounds and not (rounds in source.committed() and source.has(weights)):
        raise RunError(f"{source.uri}: round {rounds} is not there with its weights, so it cannot be taken over.")
    target = directory.inside(TRIALS, f"{member}.g{len(own)}")
    _copy(source, target, rounds)
    saved = read_saved(source)
    config = make_config(with_values(saved.given, {**point, "name": target.name}))
    facts = {name: fact for name, fact in saved.resolved.items() if name != BATCH}  # of the source's own keys
    target.write(CONFIG, print_config(config, facts).encode())
    write_note(target, TRIAL, {**latest, "point": point, "origin": origin})  # last: from here on it counts
    return target


def _begun(directory: RunDirectory) -> list[RunDirectory]:
    """Return the runs of all trials, a member's generations in order; copies, and what others leave, are none."""
    names = [name for name in directory.list(TRIALS) if _TRIAL.fullmatch(name)]
    runs = [directory.inside(TRIALS, name) for name in sorted(names, key=_generation)]
    return [run for run in runs if run.has(TRIAL)]


def _generation(name: str) -> tuple[str, int]:
    stem, dot, number = name.partition(".g")
    return (stem, int(number)) if dot and number.isdecimal() else (name, 0)


def _copy(source: RunDirectory, target: RunDirectory, rounds: int) -> None:
    """Copy what the next round needs: every round's query, labels and scores, and the last one's weights."""
    for name in ONCE:
        if source.has(name):
            target.write(name, source.read(name))
    for number in range(1, rounds + 1):
        folders = ["", "checkpoint"] if number == rounds else [""]
        for folder in folders:
            place = round_path(number, *([folder] if folder else []))
            for name in source.list(place):
                if name not in (COMMITTED, "checkpoint", "to-label"):
                    target.write(f"{place}/{name}", source.read(f"{place}/{name}"))
        target.commit(number)
