"""Read images in other people's forms, one file a form, as a stream of records for the importer."""

from distal.data.formats.record import Record, Records, Refused

__all__ = ["Record", "Records", "Refused"]
