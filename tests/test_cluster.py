"""Joining a cluster: what Ray complains of is said in distal's words, and versions are compared."""

import pytest
import ray

import distal
from distal import version
from distal.driver import cluster
from distal.errors import ClusterError

COMPLAINT = """Version mismatch: The cluster was started with:
    Ray: 2.54.0
    Python: 3.10.4
This process on node 10.0.0.7 was started with:
    Ray: 2.60.0
    Python: 3.11.7
"""


def test_rays_complaint_about_versions_is_said_with_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**settings: object) -> None:
        raise RuntimeError(COMPLAINT)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ClusterError) as refused:
        distal.connect("auto")
    assert "has Ray 2.54.0 and Python 3.10.4, this process Ray 2.60.0 and Python 3.11.7" in str(refused.value)
    assert "distal submit" in str(refused.value)


def test_a_node_with_another_distal_is_named(local_ray: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster._require_same_versions()
    monkeypatch.setattr(version, "__version__", "9.9.9")
    with pytest.raises(ClusterError, match=r"has distal 0\.1\.0, this process 9\.9\.9"):
        cluster._require_same_versions()


def test_a_process_joins_one_cluster_at_a_time(local_ray: None) -> None:
    with pytest.raises(ClusterError, match=r"connection\.close"):
        distal.connect()


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ClusterError, match=r"no Ray cluster answers at '127.0.0.1:1'"):
        distal.connect("127.0.0.1:1")
