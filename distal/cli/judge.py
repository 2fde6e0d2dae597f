"""Open the page on which people judge what a round generates."""

import os

from distal.cli.ending import ending
from distal.cli.label import KEPT, Host, Name, Pool, Port, require_packages, serve
from distal.cli.output import show
from distal.cli.runs import Round, RunPath, open_run


@ending(KEPT)
def judge(
    path: RunPath,
    arguments: Pool = None,
    round: Round = None,
    host: Host = None,
    port: Port = None,
    name: Name = None,
) -> None:
    """Open the page on which people judge a round's generated images: which of two is real, is it of its class?

    Judgements are kept with the run; `distal report` shows the share that people got wrong, with its 95% interval: 200
    judgements know it to about 7 points. 50% of pairs wrong: nobody can tell them apart.

    \b
        distal judge runs/tiles
    """
    require_packages()
    import json

    from distal.checkpoints import open_generator
    from distal.data.chunks import Skipped
    from distal.data.few import FewRows
    from distal.driver.preparation import Preparation
    from distal.label.judging import Judging
    from distal.label.trials import Trials
    from distal.resolve import override_config
    from distal.run.judgements import KINDS, NAMES, tally

    run = open_run(path)
    generator = open_generator(run, round)
    opened = Preparation(override_config(generator.saved.config, arguments or []), run)
    opened.require_same_images(run, generator.saved)
    skipped = [Skipped(**row) for row in json.loads(run.read("skipped.json"))]
    rows = opened.reference_rows(skipped)
    labels = opened.reference.labels(rows) if opened.reference.has_labels else rows * 0 - 1
    trials = Trials(generator, rows, labels, FewRows(opened.reference).pixels)
    person = name or os.environ.get("USER", "") or "me"
    with run.lock("judge"):
        page = Judging(run, generator.round, generator.saved.classes, trials, person)
        serve(run, "judge", page.routes(), host or "127.0.0.1", 8378 if port is None else port, with_run=False)
    for kind in KINDS:
        counts = tally(page.judged, kind)
        if counts.judged:
            interval = f"95%: {counts.low:.3f} to {counts.high:.3f}"
            show(f"{NAMES[kind]} {counts.rate:.3f} ({interval}) of {counts.judged} judgements, round {generator.round}")
