"""Name the run and the round in every log record, and write records as JSON lines where that is asked for.

In JSON each line is one object with `asctime`, `levelname`, `name`, `message`, `run` and `round`; the processes that
Ray starts add its own fields (`job_id`, `node_id`, `actor_name`, ...), so that one search finds all of a round.
"""

import json
import logging
import os
import time

from distal.errors import ConfigError

FORMATS = ("text", "json")

_place: dict[str, str | int | None] = {"run": None, "round": None}


def label_records(run: str, round: int | None = None) -> None:
    """Have every record of this process, from now on, carry the run and the round."""
    if _place["run"] is None:
        make = logging.getLogRecordFactory()

        def labeled(*args: object, **kwargs: object) -> logging.LogRecord:
            record: logging.LogRecord = make(*args, **kwargs)
            record.__dict__.update(_place)
            return record

        logging.setLogRecordFactory(labeled)
    _place.update(run=run, round=round)


def as_json() -> bool:
    """Say whether DISTAL_LOG_FORMAT asks for JSON lines.

    Raises:
        ConfigError: it asks for something else than text or JSON.
    """
    given = os.environ.get("DISTAL_LOG_FORMAT", "text")
    if given not in FORMATS:
        raise ConfigError(f"DISTAL_LOG_FORMAT: unknown format '{given}'.\nKnown: {', '.join(FORMATS)}.")
    return given == "json"


class JsonLines(logging.Formatter):
    """Write a record as one JSON object, with the names that Ray's own JSON logs have."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "asctime": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "levelname": record.levelname,
            "name": record.name,
            "message": record.getMessage(),
            "run": getattr(record, "run", None),
            "round": getattr(record, "round", None),
        }
        if record.exc_info:
            fields["exc_text"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)
