"""Say how far a run is, from its directory alone: rounds, labels, the distance so far, and what comes next."""

import json

from distal.checkpoints import has_checkpoint, read_saved
from distal.config import Config
from distal.data.growth import references_of
from distal.data.references import describe_references
from distal.data.tables import describe_growth, read_tables
from distal.features import network_name
from distal.report.advice import changes_to_go_on, take_up
from distal.report.private import spent_line
from distal.run.directory import RunDirectory
from distal.run.files import without_keys
from distal.run.given import number_given
from distal.run.ledger import Ledger
from distal.run.results import RoundResult, read_result


def describe_status(run: RunDirectory) -> str:
    """Return a few lines of plain text.

    Raises:
        RunError: there is no run here, or its config.yaml is damaged. StorageError: its labels or metrics are.
    """
    saved = read_saved(run)
    config = saved.config
    ledger = Ledger(run, len(saved.classes))
    results = [read_result(run, number) for number in run.committed()]
    given = number_given(saved.resolved)
    pool = without_keys(str(config.pool.path))
    tables = read_tables(run)
    growth, examples = describe_growth(tables), references_of(tables.tables)
    more = describe_references(run, tables.tables, saved.resolved.get("given"))
    rows = saved.resolved["rows"] - (0 if examples is None else examples.rows)
    own = ledger.of_generated().labels
    lines = [
        f"run        {run.uri}",
        f"pool       {rows:,} rows of {pool}, {len(saved.classes)} classes" + (f"; {growth}" if growth else ""),
        f"strategy   {config.query.strategy}, {config.query.batch} labels a round, seed {config.seed}",
        f"rounds     {len(results)} of {config.rounds} committed",
        f"labels     {len(ledger.labels().row_ids)} labels from {ledger.count()} answers, "
        f"budget {config.label_budget}, cost {ledger.cost():g}"
        + (f"; {int((own >= 0).sum())} of {len(own)} generated images have a class" if len(own) else "")
        + (f"; {given} labels were given" if given else "")
        + (f", {more}" if more else ""),
    ]
    lines += _who_classifies(config, saved.resolved["image_size"], results)
    lines += [_round_line(result) for result in results]
    spent = results[-1].metrics.get("privacy") if results else None
    lines += [f"privacy    {spent_line(spent)}; of the model alone, not of this run (docs/privacy.md)"] if spent else []
    lines.append(f"next       {_next_step(run, config, ledger, len(results) + 1)}")
    return "\n".join(lines)


def _who_classifies(config: Config, image_size: int, results: list[RoundResult]) -> list[str]:
    """Say in one line who is believed and why, and which network looks; nothing of a run of an older version."""
    if config.classifier == "head":
        return ["classifier head, as configured; no frozen network looks at the pool"]
    believed, network = None, network_name(config.features.network, image_size)
    if results:
        believed = results[-1].metrics.get("classifier")
        if not isinstance(believed, dict):
            return []
    why = f"{config.classifier}, nothing is compared yet" if believed is None else str(believed.get("reason"))
    name = f"{believed.get('classifier')}, " if believed is not None and why == "as configured" else ""
    return [f"classifier {name}{why}; {network} looks at the pool"]


def _round_line(result: RoundResult) -> str:
    names = (result.metrics["goal"], "accuracy", "probe_accuracy", "agreement", "human_error")
    scores = "  ".join(f"{name} {value:.4g}" for name in names if (value := result.score(name)) is not None)
    return f"  {result.round:04d}     {result.metrics['labels']:>5} labels  {scores}"


def _ending(run: RunDirectory) -> tuple[str, str]:
    try:
        stopped = json.loads(run.read("stopped.json"))
        return str(stopped["reason"]), f"ended, {stopped['message']}"
    except (ValueError, KeyError, TypeError):
        return "", "the run has ended"


def _next_step(run: RunDirectory, config: Config, ledger: Ledger, round: int) -> str:
    if run.has("stopped.json"):
        reason, message = _ending(run)
        changes = changes_to_go_on(config, reason)
        on = "no row is left to ask" if changes is None else f"to go on: {_how(config, run, *changes)}"
        return f"nothing: {message}\n           see {run.uri}/report.html; {on}"
    how = "at work now" if run.holder() is not None else _how(config, run)
    query = ledger.read_query(round)
    if query is None:
        return f"round {round}: choose what to ask ({how})"
    pending = len(ledger.pending(query))
    if pending:
        return f"round {round}: {pending} of {len(query.row_ids)} labels are awaited ({how})"
    trains = round % config.train.every == 0 or len(ledger.asked()) >= config.label_budget
    step = "evaluate" if has_checkpoint(run, round) else "train" if trains else "measure the probe"
    return f"round {round}: {step} ({how})"


def _how(config: Config, run: RunDirectory, *changes: str) -> str:
    step = take_up(config, run.uri, *changes)
    return step.command or step.text
