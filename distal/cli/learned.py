"""Use what a run has learned: generate images, score them, prove whether they pay."""

import json
import sys
from typing import Annotated

import typer

from distal.cli.ending import AGAIN, ending
from distal.cli.output import show, show_step
from distal.cli.runs import Round, RunPath, open_run

Balanced = Annotated[
    bool,
    typer.Option(
        "--balance",
        help="So many of each class that it has --per-class with its labels; by default twice the largest class's.",
    ),
]
Filtered = Annotated[
    bool,
    typer.Option(
        "--filter",
        help="Leave out what a classifier of the labels doubts, near-copies of training images and repetitions.",
    ),
]


@ending(AGAIN)
def generate(
    path: RunPath,
    out_path: Annotated[str, typer.Option("--out", "-o", help="A .png for a grid, a .parquet for rows, or a folder/.")],
    classes: Annotated[
        list[str] | None, typer.Option("--class", "-c", help="Class by name or number; repeat it; default all.")
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(
            "--per-class", "-n", min=1, help="Images of each class, by default 10; with --balance, see there."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the latents.")] = 0,
    latents: Annotated[
        str,
        typer.Option(
            metavar="NAME[:NUMBER]",
            help="How latents are chosen: drawn, truncation, latent_optimization, rejection, mh, ddls.",
        ),
    ] = "drawn",
    round: Round = None,
    balance: Balanced = False,
    filter: Filtered = False,
    labeled: Annotated[
        str | None,
        typer.Option(metavar="PARQUET", help="Write the labeled images there as well, to train on both."),
    ] = None,
) -> None:
    """Generate images of the asked classes with a run's generator.

    \b
        distal generate runs/digits --out threes.png --class 3 --per-class 40
        distal generate runs/digits --out more.parquet --per-class 1000
        distal generate runs/digits --out surer.parquet --per-class 1000 --latents rejection
        distal generate runs/digits --out s3://bucket/threes/ --class 3
        distal generate runs/digits --out more.parquet --balance --filter --labeled labeled.parquet
    """
    from distal.checkpoints import open_generator
    from distal.cli.generate import Origin, write_chosen, write_labeled
    from distal.driver.choosing import choose
    from distal.driver.labeled import labeled_images
    from distal.run.files import without_keys

    run = open_run(path)
    generator = open_generator(run, round)
    asked = [generator.class_index(name) for name in classes or generator.saved.classes]
    chosen = choose(run, generator, asked, per_class, seed, latents, balance, filter, show_step)
    origin = Origin(without_keys(run.uri), generator.round, seed, latents, generator.saved.classes)
    write_chosen(chosen, origin, out_path)
    if labeled is not None:
        images, labels, row_ids = labeled_images(run, generator)
        write_labeled(images, labels, row_ids, generator.saved.classes, labeled)
        show(f"wrote {len(labels)} labeled images to {labeled}")
    for note in chosen.notes:
        show(note)
    count = f"{len(chosen.labels)} images of {len(set(chosen.labels.tolist()))} classes"
    show(f"wrote {count} from round {generator.round} to {without_keys(out_path)}")


@ending(AGAIN)
def evaluate(
    path: RunPath,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Keys under evaluate., and pool.path where the pool has moved."),
    ] = None,
    round: Round = None,
) -> None:
    """Score a committed round again, with more samples, other images or another extractor; print JSON.

    \b
        distal evaluate runs/digits evaluate.path=held-out.parquet evaluate.samples=5000
    """
    from distal.cli.evaluate import evaluate_round

    scores = evaluate_round(open_run(path), arguments or [], round)
    sys.stdout.write(json.dumps([score.to_json() for score in scores], indent=1) + "\n")


@ending(AGAIN)
def export(
    path: RunPath,
    out_path: Annotated[str, typer.Option("--out", "-o", help="A .onnx, or a .pt2 of torch.export; a local path.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Keys under evaluate., and pool.path where the pool has moved."),
    ] = None,
    prune: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Set this share of the weights, the smallest, to zero.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Keep weights as int8 (.onnx alone).")] = False,
    distill: Annotated[
        int | None,
        typer.Option(metavar="WIDTH", min=4, help="Teach a generator of this net.width to draw the same images."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Updates of --distill.")] = 2000,
    round: Round = None,
) -> None:
    """Export a run's generator as a file that draws without distal; print what it costs in size, time and distance.

    \b
        distal export runs/digits --out digits.onnx
        distal export runs/digits --out small.onnx --distill 8 --int8 evaluate.samples=1000
    """
    from distal.cli.export import export_round
    from distal.export.table import Smaller

    how = Smaller(prune, int8, distill, steps)
    show(export_round(open_run(path), out_path, how, arguments or [], round, show_step))


@ending(AGAIN)
def prove(
    path: RunPath,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="evaluate.path=..., labeled images to test on; pool.path=..., moved."),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|PARQUET", help="Another tool's images, by class, in place of generated ones."),
    ] = None,
    price: Annotated[
        int | None, typer.Option(min=0, help="Labels that the images' making would buy; default: one more query.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Images and labels of a class together; default: twice the largest class.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="How often each classifier is trained.")] = 5,
    round: Round = None,
) -> None:
    """Prove whether generated images pay: for a classifier of the classes, on held-out images, at no more labels.

    Prints a table, a sentence a class and a verdict, and writes them into <run>/prove.json.

    \b
        distal prove runs/digits --price 30
        distal prove runs/digits --images diffused/ evaluate.path=test.parquet
    """
    from distal.driver.proving import prove_run

    show(prove_run(open_run(path), arguments or [], images, per_class, price, seeds, round, show_step))
