"""Write tasks as Label Studio imports them, and read its exports: JSON, JSON-MIN, and what its API returns.

A task's `data` carries the row id and the pool's fingerprint, which every export of Label Studio keeps; its own ids are
never used.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any
from xml.sax.saxutils import escape

from distal.oracle.formats.task import Batch, Brought, Task, items, whole_number
from distal.oracle.told import Told

CONTROL, OBJECT = "label", "image"
"""Names of the labeling configuration's two tags; a CSV export calls its column after the first."""
MODEL = "distal"


def write(batch: Batch) -> dict[str, bytes]:
    """Return tasks.json, to be imported, and labeling.xml, to be pasted into the project's labeling interface."""
    tasks = [as_json(task, batch) for task in batch.tasks]
    return {
        "tasks.json": (json.dumps(tasks, indent=1, ensure_ascii=False) + "\n").encode(),
        "labeling.xml": labeling(batch.classes).encode(),
    }


def labeling(classes: Sequence[str]) -> str:
    """Return the labeling configuration: one image, one choice, a key for each of the first nine classes."""
    choices = "\n".join(
        f'    <Choice value="{_attribute(name)}"{f" hotkey={chr(34)}{key}{chr(34)}" if key <= 9 else ""}/>'
        for key, name in enumerate(classes, 1)
    )
    return (
        f'<View>\n  <Image name="{OBJECT}" value="$image" zoom="true"/>\n'
        f'  <Choices name="{CONTROL}" toName="{OBJECT}" choice="single" required="true">\n{choices}\n'
        "  </Choices>\n</View>\n"
    )


def choices(labeling: str) -> set[str]:
    """Return the choices of a labeling configuration's control of our name; none where it has no such control."""
    try:
        root = ET.fromstring(labeling)
    except ET.ParseError:
        return set()
    return {
        choice.get("value", "")
        for control in root.iter("Choices")
        if control.get("name") == CONTROL
        for choice in control.iter("Choice")
    }


def row_of(task: Mapping[str, Any], pool: str) -> int | None:
    """Return the row that a task of Label Studio's asks for; None where it is none of this pool's."""
    data = task.get("data")
    if not isinstance(data, dict) or data.get("pool") != pool:
        return None
    return whole_number(data.get("row_id"))


def as_json(task: Task, batch: Batch) -> dict[str, Any]:
    """Return one task as Label Studio imports it, with its suggestion as a prediction."""
    data = {"image": task.place, "row_id": task.row_id, "path": task.path, "score": task.score}
    written: dict[str, Any] = {"data": data | {"round": batch.round, "pool": batch.pool}}
    if task.suggestion is not None:
        name, probability = task.suggestion
        result = {
            "from_name": CONTROL,
            "to_name": OBJECT,
            "type": "choices",
            "value": {"choices": [name]},
        }
        written["predictions"] = [{"model_version": MODEL, "score": probability, "result": [result]}]
    return written


def read(tree: object, pool: str, now: float) -> Brought:
    """Read an export. pool: the fingerprint that the tasks must carry; now: stands for times that are missing."""
    brought = Brought([], [])
    for number, task in enumerate(items(tree), 1):
        where = f"task {task.get('id', number)}"
        data = task.get("data")
        # JSON-MIN has what was task data beside the answer.
        facts: Mapping[str, Any] = data if isinstance(data, dict) else task
        row_id = whole_number(facts.get("row_id"))
        if row_id is None:
            brought.problems.append(f"{where}: its data has no row_id, so it is no task of distal")
        elif facts.get("pool", pool) != pool:
            brought.problems.append(f"{where}: row {row_id} is an image of another pool")
        else:
            for answer in _answers(where, task, row_id, now):
                if isinstance(answer, str):
                    brought.problems.append(answer)
                else:
                    brought.told.append(answer)
    return brought


def _answers(where: str, task: Mapping[str, Any], row_id: int, now: float) -> Iterator[Told | str]:
    """Yield the answers of a task, in the order in which they were given, and a line about each that is none."""
    if "annotations" not in task:
        if CONTROL in task:
            choices = task[CONTROL]
            choices = choices.get("choices") if isinstance(choices, dict) else [choices]
            yield _told(where, row_id, choices, str(task.get("annotator", "")), _seconds(task.get("updated_at"), now))
        return
    for annotation in sorted(items(task["annotations"]), key=lambda each: _seconds(each.get("created_at"), now)):
        who, when = _name(annotation.get("completed_by")), _seconds(annotation.get("updated_at"), now)
        if annotation.get("was_cancelled"):
            yield Told(where, row_id, None, who, when)
            continue
        chosen: list[Any] = []
        for result in items(annotation.get("result")):
            value = result.get("value")
            if result.get("from_name") == CONTROL and isinstance(value, dict):
                chosen += value.get("choices") or []
        yield _told(where, row_id, chosen, who, when)


def _told(where: str, row_id: int, choices: object, who: str, when: float) -> Told | str:
    if not isinstance(choices, list) or len(choices) != 1:
        number = len(choices) if isinstance(choices, list) else 0
        return f"{where}: row {row_id} was submitted with {number} classes instead of one"
    return Told(where, row_id, choices[0], who, when)


def _name(who: object) -> str:
    """Return who answered: the address where the export has it, else Label Studio's number of them."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return "label-studio" if who is None else f"label-studio:{who}" if isinstance(who, int) else str(who)


def _seconds(time: object, now: float) -> float:
    try:
        moment = datetime.fromisoformat(str(time).replace("Z", "+00:00"))
    except ValueError:
        return now
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def _attribute(name: str) -> str:
    return escape(name, {'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})
