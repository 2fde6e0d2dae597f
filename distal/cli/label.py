"""Open the pages on which people label, and judge what is generated."""

import os
import select
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distal.cli.ending import ending
from distal.cli.output import show
from distal.cli.runs import RunPath, open_run
from distal.errors import ConfigError

if TYPE_CHECKING:
    from distal.checkpoints import SavedRun
    from distal.data.generated import RunImages
    from distal.data.table import ImageTable
    from distal.run.directory import RunDirectory

Pool = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="pool.path=..., where the pool lies elsewhere now.")
]
Host = Annotated[
    str | None, typer.Option(help="Address to serve at; 127.0.0.1, this machine alone, unless the run says otherwise.")
]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 for any that is free. 8377 by default.")]
Name = Annotated[str | None, typer.Option(help="Your name, kept with each answer; a page can be told another.")]
KEPT = "open the page again"


@ending(KEPT)
def label(
    path: RunPath,
    arguments: Pool = None,
    host: Host = None,
    port: Port = None,
    name: Name = None,
    with_run: Annotated[bool, typer.Option("--with-run", hidden=True)] = False,
) -> None:
    """Open the page on which people label what a run asks, in their browser.

    The run may be at work (a new batch then comes by itself) or wait: `distal resume` takes the answers. From another
    machine, forward the port, for example: ssh -L 8377:localhost:8377 HOST

    \b
        distal label runs/tiles
    """
    require_packages()
    run = open_run(path)
    if with_run:
        while not run.exists():
            if _input_ended():
                return
            time.sleep(0.1)
    from distal.checkpoints import read_saved
    from distal.data.generated import RunImages
    from distal.label.desk import Desk
    from distal.label.images import ShownImages
    from distal.label.labeling import Labeling
    from distal.oracle import Classes, PageConfig

    saved = read_saved(run)
    config = saved.config
    if config.oracle.kind not in ("page", "files"):
        raise ConfigError(
            f"{run.uri}: its answers come from oracle.kind={config.oracle.kind}, not from people at a page.\n"
            "Begin a run with oracle.kind=page."
        )
    asks = config.oracle if isinstance(config.oracle, PageConfig) else PageConfig()
    images = open_images(run, saved, arguments or [])
    shown = RunImages(images, run)
    with run.lock("label"):
        page = Labeling(
            run=run,
            desk=Desk(run, Classes(saved.classes, config.oracle.cost), asks.repeat, config.seed, asks.relabel),
            images=ShownImages(shown, config.pool.max_pixels),
            classes=saved.classes,
            budget=config.label_budget,
            seed=config.seed,
            person=name or os.environ.get("USER", "") or "me",
            look=partial(_look, run, saved, images, shown),
        )
        try:
            serve(run, "label", page.routes(), host or asks.host, asks.port if port is None else port, with_run)
        finally:
            page.images.close()


def require_packages() -> None:
    """Refuse where the packages are missing that a page is served with. Raises ConfigError."""
    from distal.driver.page import can_serve

    if not can_serve():
        raise ConfigError("a page needs the packages starlette and uvicorn.\nInstall them: pip install 'distal[label]'")


def open_images(run: "RunDirectory", saved: "SavedRun", overrides: Sequence[str]) -> "ImageTable":
    """Open the pool of a run as it has numbered its rows.

    Raises:
        ConfigError: an override other than the pool's place. PoolError: the pool is gone, or is another one.
    """
    from distal.driver.opening import open_pool
    from distal.resolve import override_config

    wrong = [override for override in overrides if not override.startswith(("pool.path=", "pool.cache="))]
    if wrong:
        raise ConfigError(f"'{wrong[0]}': a page takes pool.path=... and pool.cache=... alone.\nLeave it out.")
    images, tables, _ = open_pool(override_config(saved.config, overrides), run, begun=bool(run.list("rounds")))
    tables.require_current(run)
    return images


def serve(run: "RunDirectory", what: str, routes: list[Any], host: str, port: int, with_run: bool) -> None:
    """Serve a page until it is interrupted, or, with a run, until that ends; say where it is.

    what: `label` or `judge`.
    """
    from distal.label.server import hosts_of, link_to, listen_at, page_app, server, token_of

    token = token_of(run)
    app = page_app(what, routes, token, hosts_of(host))
    with listen_at(host, port) as listening:
        serving = server(app)
        if with_run:
            threading.Thread(target=_until_input_ends, args=(serving,), daemon=True).start()
        show(f"{what}: {link_to(listening, token)}")
        with suppress(KeyboardInterrupt):
            serving.run(sockets=[listening])


def _input_ended() -> bool:
    """Say whether the run that opened this page is gone; it writes nothing to its standard input."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def _until_input_ends(serving: Any) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # not sys.stdin.read: an interpreter that ends aborts at its lock
        pass
    serving.should_exit = True


def _look(run: "RunDirectory", saved: "SavedRun", images: "ImageTable", shown: "RunImages") -> Any:
    """Return what tells images that look alike: the features of the run, once it has any."""
    from distal.config import EVALUATION_CACHE
    from distal.data.split import holdout_fraction
    from distal.label.groups import looks
    from distal.pool.eyes import PROJECTION
    from distal.pool.sight import Frozen

    if not run.has(PROJECTION):
        return looks(images, shown, None)
    holdout = holdout_fraction(saved.config.evaluate, images.first_rows)
    return looks(images, shown, Frozen.of(saved.config, images, holdout, run.beside(EVALUATION_CACHE)))
