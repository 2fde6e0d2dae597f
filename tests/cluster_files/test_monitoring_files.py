"""cluster/grafana/distal.json and cluster/prometheus.yaml: what they name exists, and the panels fit."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

from distal.driver.telemetry import COUNTERS, GAUGES

CLUSTER = Path(__file__).parents[2] / "cluster"
DASHBOARD: dict[str, Any] = json.loads((CLUSTER / "grafana" / "distal.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [
    pytest.param(target["expr"], id=f"{panel['id']}-{target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
EXPORTED = {f"ray_{name}_total": {"run", *tags} for name, (_, tags) in COUNTERS.items()} | {
    f"ray_{name}": {"run", *tags} for name, (_, tags) in GAUGES.items()
}
RAYS_OWN = {"ray_resources", "ray_object_store_memory", *(f"ray_node_{name}" for name in (
    "cpu_count", "cpu_utilization", "gpus_utilization", "mem_used", "mem_total"))}  # fmt: skip
WIDTH = 24


def metrics(expression: str) -> set[str]:
    return set(re.findall(r"\bray_\w+", expression))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_that_are_exported(expression: str) -> None:
    assert metrics(expression)
    assert metrics(expression) <= EXPORTED.keys() | RAYS_OWN


def test_every_metric_of_distal_is_shown() -> None:
    assert set().union(*(metrics(p.values[0]) for p in EXPRESSIONS)) >= EXPORTED.keys()


def test_rays_own_metrics_are_those_of_its_own_dashboards() -> None:
    folder = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    known = set(re.findall(r"\bray_\w+", "".join(path.read_text() for path in folder.glob("*_panels.py"))))

    assert known >= RAYS_OWN


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_of_distals_metrics_asks_for_the_chosen_runs_and_for_tags_that_exist(expression: str) -> None:
    own = metrics(expression) & EXPORTED.keys()
    for metric in own:
        tags = EXPORTED[metric]
        [selector] = re.findall(rf"{metric}{{([^}}]*)}}", expression)
        assert 'run=~"$run"' in selector
        assert {name for name, _ in re.findall(r'(\w+)=~?"([^"]*)"', selector)} <= tags
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        assert grouped
        assert all(name.strip() in tags for names in grouped for name in names.split(","))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_counters_are_shown_as_rates_and_gauges_are_not(expression: str) -> None:
    is_counter = bool(metrics(expression) & {f"ray_{name}_total" for name in COUNTERS})

    assert ("rate(" in expression) == is_counter
    assert all(expression.count(a) == expression.count(b) for a, b in ("()", "{}", "[]"))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_legend_shows_tags_that_the_expression_keeps(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        kept = {name.strip() for names in re.findall(r"by \(([^)]*)\)", target["expr"]) for name in names.split(",")}
        assert shown <= kept | ({"instance"} if "ray_node_mem" in target["expr"] else set())


def test_panels_have_ids_and_letters_of_their_own() -> None:
    ids = [panel["id"] for panel in PANELS]

    assert len(set(ids)) == len(ids)
    for panel in PANELS:
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters)


def test_panels_lie_on_the_grid_and_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    for place in places:
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= WIDTH
    for a, b in itertools.combinations(places, 2):
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, (a, b)


def test_every_panel_asks_the_chosen_prometheus_and_runs_are_found_by_a_metric_that_exists() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}

    assert variables.keys() == {"datasource", "run"}
    assert variables["datasource"]["query"] == "prometheus"
    [metric] = metrics(variables["run"]["definition"])
    assert metric in EXPORTED
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}


def test_prometheus_reads_the_nodes_from_the_file_that_ray_writes() -> None:
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    config = yaml.safe_load((CLUSTER / "prometheus.yaml").read_text())

    [job] = config["scrape_configs"]
    [discovery] = job["file_sd_configs"]
    assert discovery["files"] == [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]
