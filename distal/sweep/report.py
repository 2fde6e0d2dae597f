"""Write a sweep's report: one HTML file that needs nothing else, neither network nor script."""

import logging

from markupsafe import Markup

from distal.metrics.registry import is_share
from distal.report.write import FILE, environment
from distal.sweep import page
from distal.sweep.coordinates import MOST_KEYS, RANKS, parallel_coordinates
from distal.sweep.figures import TrialBar, importance_bars, learning_curves, round_bars
from distal.sweep.importance import Importance, importance
from distal.sweep.results import Results
from distal.sweep.series import gather
from distal.sweep.space import describe_point, parse_space, short_keys

log = logging.getLogger(__name__)

_RANKED_SHOWN = 100
_FAILED_SHOWN = 50


def write_sweep_report(results: Results) -> str:
    """Write `report.html` into the sweep's directory and return its URI; the sweep may be in any state.

    Raises:
        ConfigError: the sweep's space cannot be read. StorageError: the report cannot be written.
    """
    results.directory.write(FILE, render(results).encode("utf-8"))
    uri = f"{results.directory.uri}/{FILE}"
    log.info("wrote the report of %d trials to %s", len(results.trials), uri)
    return uri


def render(results: Results) -> str:
    """Return the page. Every value, name and reason in it is escaped: they are other people's data."""
    curves = gather(results)
    found = importance(results)
    rows = page.ranking_rows(results)
    failed = [trial for trial in results.trials if trial.state == "failed"]
    ranks = page.by_rank(results)
    title = page.title(results)
    names = short_keys(parse_space(results.sweep.space).keys)
    share = is_share(results.sweep.metric)
    return (
        environment("distal.sweep")
        .get_template("sweep.html.j2")
        .render(
            results=results,
            describe=describe_point,
            title=title,
            lead=page.lead(results),
            status=page.status(results),
            tiles=page.tiles(results),
            warnings=page.warnings(results),
            curves=curves,
            by_labels=Markup(learning_curves(curves.series, title, share, "labels")) if curves.series else None,
            by_compute=Markup(learning_curves(curves.series, title, share, "compute")) if curves.series else None,
            space_figure=_space_figure(results, found) if ranks else None,
            keys_left_out=max(0, len(names) - MOST_KEYS),
            rank_steps=len(RANKS),
            importance=found,
            importance_figure=Markup(importance_bars(found.shares)) if found.shares else None,
            rounds_figure=_rounds_figure(results) if results.trials else None,
            keys=names,
            rows=rows[:_RANKED_SHOWN],
            rows_left_out=max(0, len(rows) - _RANKED_SHOWN),
            failed=failed[:_FAILED_SHOWN],
            failed_left_out=max(0, len(failed) - _FAILED_SHOWN),
            best_values=page.best_values(results),
            command=page.run_command(results),
            settings=page.settings(results),
            space=page.space_rows(results),
        )
    )


def _space_figure(results: Results, found: Importance) -> Markup:
    """Draw the keys in the order of the space; of too many, those that matter most."""
    dimensions = parse_space(results.sweep.space).dimensions
    names = short_keys(dimension.key for dimension in dimensions)
    order = [s.key for s in found.shares] or [dimension.key for dimension in dimensions]
    drawn = [dimension for dimension in dimensions if dimension.key in order[:MOST_KEYS]]
    metric = (results.sweep.metric, page.brief_title(results))
    titles = [names[dimension.key] for dimension in drawn]
    return Markup(parallel_coordinates(page.by_rank(results), drawn, titles, metric, results.mode))


def _rounds_figure(results: Results) -> Markup:
    # A run that came to its own end saved nothing, however many rounds it did: Results.saved counts the same way.
    planned = results.base.rounds
    bars = [
        TrialBar(t.name, t.state, len(t.curve), len(t.curve) if t.state == "finished" else planned)
        for t in results.trials
    ]
    return Markup(round_bars(bars))
