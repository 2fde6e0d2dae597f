"""Print for people: text as it is, errors as their message alone, nothing that a terminal would obey."""

import io
import logging
import os
import sys
import unicodedata

from rich.console import Console
from rich.logging import RichHandler

from distal.errors import ConfigError, DistalError
from distal.logs import JsonLines, as_json

out = Console(highlight=False, soft_wrap=True)


def show(text: str) -> None:
    """Print a text as it is."""
    out.print(printable(text), markup=False)


def show_error(error: DistalError) -> None:
    """Print an error's message to stderr."""
    Console(stderr=True, highlight=False).print("[bold red]error:[/] ", end="")
    sys.stderr.write(f"{printable(str(error))}\n")


def show_step(text: str) -> None:
    """Say on stderr what is at work."""
    sys.stderr.write(f"{printable(text)} ...\n")


def log_to_stderr() -> None:
    """Show warnings of the program on stderr, or from the level that DISTAL_LOG names, as DISTAL_LOG_FORMAT says.

    Raises:
        ConfigError: there is no such level or format.
    """
    level = os.environ.get("DISTAL_LOG", "WARNING")
    handler: logging.Handler
    if as_json():
        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
    else:
        handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
        handler.setFormatter(_PrintableFormatter("%(name)s: %(message)s"))
    try:
        logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    except ValueError:
        raise ConfigError(f"DISTAL_LOG: unknown level '{level}'.\nKnown: DEBUG, INFO, WARNING, ERROR.") from None


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def escape_what_has_no_code() -> None:
    """Have stdout and stderr escape the characters that their encoding lacks, as under PYTHONIOENCODING=ascii."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def can_be_encoded(text: str) -> bool:
    """Say whether stdout's encoding has every character of a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def printable(text: str) -> str:
    """Escape what a terminal would obey rather than show: names and paths in a pool or a run are other people's."""
    plain = (c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else _escaped(c) for c in text)
    return "".join(plain)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
