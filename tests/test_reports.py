"""When a run's page is written: at its end, and while it is at work neither at once nor all the time."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from distal.driver import reports
from distal.run.directory import RunDirectory


@dataclass
class Clock:
    """Stand for the module `time`, and note when pages were written, each of which takes 2 s."""

    now: float = 100.0
    written: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def write(self, *arguments: object) -> None:
        self.written.append(self.now)
        self.now += 2.0


def test_a_run_at_work_writes_its_page_after_a_while_and_then_a_tenth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(reports, "time", clock)
    monkeypatch.setattr("distal.report.write.write_report", clock.write)
    monkeypatch.setattr(RunDirectory, "exists", lambda run: True)
    page = reports.Reports(RunDirectory.open(str(tmp_path), "run"), None, [])  # type: ignore[arg-type]
    with page.reported(lambda: None):
        for clock.now in (101.0, 111.0, 120.0, 132.0, 134.0):
            page.at_work()
    assert clock.written == [111.0, 134.0, 136.0]
