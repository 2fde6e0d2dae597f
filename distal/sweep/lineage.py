"""Let a member of a population take over another's run: its labels, its rounds and its weights, under changed values.

Each take-over begins a new generation, a run directory of its own (`member-003.g2`), so that what a run did stays as it
was. The member's last generation is the one that counts.
"""

import re

import yaml

from distal.errors import RunError
from distal.given import GIVEN
from distal.resolve import place_value
from distal.rundir import COMMITTED, CONFIG, RunDirectory, round_path
from distal.sweep.space import Point
from distal.sweep.trials import TRIAL, TRIALS, read_note, write_note

_TRIAL = re.compile(r"[0-9a-f]{8}-s\d+|member-\d{3,}(\.g\d+)?")
ONCE = ("skipped.json", "environment.json", GIVEN)


def generations(directory: RunDirectory, member: str) -> list[RunDirectory]:
    """Return the run directories of a member of the population, oldest first; none before it was begun."""
    numbers = {name: number for name in _trials(directory) for stem, number in [_generation(name)] if stem == member}
    runs = [directory.inside(TRIALS, name) for name in sorted(numbers, key=numbers.__getitem__)]
    return [run for run in runs if run.has(TRIAL)]


def current_runs(directory: RunDirectory) -> list[RunDirectory]:
    """Return the run directory of every trial that was begun: of a population's member, its last generation."""
    members = dict.fromkeys(_generation(name)[0] for name in _trials(directory))
    return [begun[-1] for member in members if (begun := generations(directory, member))]


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
    tree = yaml.safe_load(source.read(CONFIG))
    for key, value in {**point, "name": target.name}.items():
        place_value(tree, key, value)
    target.write(CONFIG, yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).encode())
    write_note(target, TRIAL, {**latest, "point": point, "origin": origin})  # last: from here on it counts
    return target


def _trials(directory: RunDirectory) -> list[str]:
    """Return the folders that are trials; copies, and what other programs leave, are not."""
    return [name for name in directory.list(TRIALS) if _TRIAL.fullmatch(name)]


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
