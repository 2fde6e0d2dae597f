"""Open what a run begins with: its pool and the references after it, its held-out images, its classes, given labels."""

from collections.abc import Sequence

from distal.config import Config
from distal.data.references import References, kept_references, read_references
from distal.data.table import ImageTable, open_images
from distal.data.tables import Tables, open_tables, read_tables
from distal.errors import ConfigError, PoolError
from distal.oracle import Classes
from distal.oracle.given import GivenRow, examples_of, match
from distal.run.directory import RunDirectory
from distal.run.given import joined, keep
from distal.run.ledger import Labels


def open_pool(config: Config, run: RunDirectory | None, begun: bool) -> tuple[ImageTable, Tables, References | None]:
    """Open the pool as the run has numbered its rows; where it begins now, its references are read and come after it.

    begun: whether anything was asked of these rows.
    """
    run = run or RunDirectory.open(config.storage, config.name)
    kept = read_tables(run)
    if not (begun or kept.closed):
        kept = Tables()  # nothing was asked of those rows
    references = kept_references(run, kept.tables)
    images, tables = open_tables(config.pool, kept, run.uri, references)
    place = config.query.references
    if place is not None and not (begun or kept.tables):
        references = read_references(place, config.pool, images, run)
        images = images.with_references(references.file, references.data)
        tables = tables.grown(images.source.tables, run.uri)
    return images, tables, references


def open_reference(config: Config) -> ImageTable:
    """Open the held-out images that have a place of their own. Raises PoolError."""
    evaluate = config.evaluate
    assert evaluate.path is not None
    pool = config.pool.model_copy(update={"path": evaluate.path, "label_column": evaluate.label_column})
    try:
        return open_images(pool)
    except PoolError as error:
        message = str(error).replace("pool.label_column", "evaluate.label_column").replace("pool.path", "evaluate.path")
        raise PoolError(message if "evaluate.path" in message else f"evaluate.path: {message}") from None


def labels_at_first(
    table: Sequence[GivenRow], images: ImageTable, references: References | None, classes: Classes, holdout: float
) -> Labels:
    """Return the labels that a run begins with: of rows of the pool that are not held out, then of the references."""
    given = match(table, images, classes)
    given = keep(given, ~images.held_out(given.row_ids, holdout), "held out for evaluation")
    return given if references is None else joined(given, examples_of(references, images.references, classes))


def require_classes(classes: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the classes. Raises ConfigError where there are fewer than two."""
    if not classes:
        raise ConfigError(
            "pool.classes: the pool has neither labels nor class names, so the generator's classes are unknown.\n"
            "Name them, for example: pool.classes=[good, scratch, dent]"
        )
    if len(classes) < 2:
        raise ConfigError(
            f"pool.classes: only one class is known ({', '.join(classes)}); a class-conditional generator needs two.\n"
            f"Name all classes in pool.classes, or check pool.label_column."
        )
    return classes
