"""cluster/kuberay: every object against its schema (Kubernetes' and KubeRay's), and our own rules."""

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from distal.resolve import make_config

FOLDER = Path(__file__).parents[2] / "cluster" / "kuberay"
KUBERNETES = ["1.30", "1.37"]
RAY = "2.60.0"
Tree = dict[str, Any]

OBJECTS = [
    pytest.param(document, id=f"{path.stem}-{document['kind']}-{document['metadata']['name']}")
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text())
    if document["kind"] != "Kustomization"
]
CORE = [p for p in OBJECTS if not p.values[0]["apiVersion"].startswith("ray.io/")]
RAYS = [p for p in OBJECTS if p.values[0]["apiVersion"].startswith("ray.io/")]


def one(kind: str, name: str) -> Tree:
    [found] = [p.values[0] for p in OBJECTS if (p.values[0]["kind"], p.values[0]["metadata"]["name"]) == (kind, name)]
    return found


@cache
def crd_schema(kind: str) -> Tree:
    """Return KubeRay's schema of a kind, closed: what it does not name is refused, as a strict server does."""
    packed = Path(__file__).with_name("kuberay-1.7.0-crds.json.gz").read_bytes()
    schema: Tree = closed(json.loads(gzip.decompress(packed))[kind])
    return schema


def closed(node: Any) -> Any:
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: closed(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and "additionalProperties" not in node:
        inner["additionalProperties"] = bool(node.get("x-kubernetes-preserve-unknown-fields"))
    return inner


def check_crd(document: Tree) -> None:
    schema = {**crd_schema(document["kind"])}
    schema["properties"] = {**schema["properties"], "metadata": {"type": "object"}}
    jsonschema.Draft202012Validator(schema).validate(document)


def cluster_spec(document: Tree) -> Tree:
    spec: Tree = document["spec"]
    return spec["rayClusterSpec"] if document["kind"] == "RayJob" else spec


def ray_templates(document: Tree) -> Iterator[Tree]:
    spec = cluster_spec(document)
    yield spec["headGroupSpec"]["template"]
    for group in spec["workerGroupSpecs"]:
        yield group["template"]
    if document["kind"] == "RayJob":
        yield document["spec"]["submitterPodTemplate"]


def pods() -> list[Any]:
    """List every pod template of the folder, whatever object it stands in."""
    found = [
        pytest.param(template, id=f"{p.id}-{index}")
        for p in RAYS
        for index, template in enumerate(ray_templates(p.values[0]))
    ]
    return [*found, pytest.param(one("StatefulSet", "distal-redis")["spec"]["template"], id="redis")]


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("document", CORE)
def test_kubernetes_knows_every_field_of_the_object(document: Tree, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("document", RAYS)
def test_kuberay_knows_every_field_of_the_object(document: Tree) -> None:
    check_crd(document)


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("template", pods())
def test_every_pod_template_is_a_pod(template: Tree, version: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **template.get("metadata", {})}}

    kubernetes_validate.validate({**pod, "spec": template["spec"]}, version, strict=True)


@pytest.mark.parametrize(
    "path", [("enableInTreeAutoscalling",), ("autoscalerOptions", "verson"), ("headGroupSpec", "template", "spec", "x")]
)
def test_a_field_that_kuberay_does_not_know_is_found(path: tuple[str, ...]) -> None:
    document = json.loads(json.dumps(one("RayCluster", "distal")))
    place = document["spec"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "v2"

    with pytest.raises(jsonschema.ValidationError, match=path[-1]):
        check_crd(document)


@pytest.mark.parametrize("document", RAYS)
def test_token_authentication_is_on_with_a_secret_that_is_not_in_the_file(document: Tree) -> None:
    assert cluster_spec(document)["authOptions"] == {"mode": "token", "secretName": "distal-token"}


@pytest.mark.parametrize("document", OBJECTS)
def test_no_secret_is_written_down(document: Tree) -> None:
    assert document["kind"] != "Secret"
    for name, value in pairs(document):
        assert not (name in ("redisPassword", "password") and isinstance(value, str) and value != "password")


def pairs(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from pairs(value)
    elif isinstance(node, list):
        for item in node:
            yield from pairs(item)


@pytest.mark.parametrize("document", OBJECTS)
def test_nothing_is_offered_outside_the_cluster(document: Tree) -> None:
    found = dict(pairs(document))

    assert document["kind"] not in ("Ingress", "Gateway", "HTTPRoute")
    assert document["kind"] != "Service" or document["spec"].get("type", "ClusterIP") == "ClusterIP"
    assert found.get("serviceType", "ClusterIP") == "ClusterIP"
    assert not found.get("enableIngress")
    assert not {"hostPort", "hostNetwork", "hostPath", "externalIPs"} & found.keys()


@pytest.mark.parametrize("template", pods())
def test_every_container_states_what_it_needs_and_at_most_takes(template: Tree) -> None:
    for container in template["spec"]["containers"]:
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= requests.keys() & limits.keys()
        assert requests["memory"] == limits["memory"]  # else the node may kill it for what others use


@pytest.mark.parametrize("template", pods())
def test_no_pod_is_root_or_may_become_more_than_it_is(template: Tree) -> None:
    pod = template["spec"]["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in template["spec"]["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert not own.get("privileged")


@pytest.mark.parametrize("template", pods())
def test_images_are_pinned_and_rays_are_of_one_version(template: Tree) -> None:
    for container in template["spec"]["containers"]:
        tag = container["image"].rpartition(":")[2]
        assert tag
        assert tag != "latest"
        assert "distal:" not in container["image"] or f"ray{RAY}" in tag


@pytest.mark.parametrize("document", RAYS)
def test_all_nodes_of_a_cluster_have_one_image_for_a_run_refuses_a_torch_that_differs(document: Tree) -> None:
    images = {c["image"] for template in ray_templates(document) for c in template["spec"]["containers"]}

    assert len(images) == 1


@pytest.mark.parametrize("document", RAYS)
def test_the_head_schedules_nothing_on_its_own_cpus_and_is_never_on_spot(document: Tree) -> None:
    head = cluster_spec(document)["headGroupSpec"]

    assert head["rayStartParams"]["num-cpus"] == "0"
    affinity = head["template"]["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [term] = affinity["nodeSelectorTerms"]
    assert {rule["operator"] for rule in term["matchExpressions"]} == {"NotIn"}


@pytest.mark.parametrize("document", RAYS)
def test_workers_with_a_gpu_tolerate_gpu_and_spot_nodes(document: Tree) -> None:
    [gpu] = [g for g in cluster_spec(document)["workerGroupSpecs"] if g["groupName"] == "gpu"]

    keys = {rule["key"] for rule in gpu["template"]["spec"]["tolerations"]}
    assert {"nvidia.com/gpu", "cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority"} <= keys
    [container] = gpu["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"].endswith("-cuda")


@pytest.mark.parametrize("document", RAYS)
def test_every_ray_node_sees_the_same_storage(document: Tree) -> None:
    spec = cluster_spec(document)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        claims = {
            v["name"]: v["persistentVolumeClaim"]["claimName"]
            for v in pod["volumes"]
            if len(v) > 1 and "persistentVolumeClaim" in v
        }
        assert claims == {"runs": "distal-runs"}
        assert {"name": "runs", "mountPath": "/runs"} in pod["containers"][0]["volumeMounts"]
    assert one("PersistentVolumeClaim", "distal-runs")["spec"]["accessModes"] == ["ReadWriteMany"]


def test_the_standing_cluster_grows_on_demand_with_the_second_autoscaler() -> None:
    spec = one("RayCluster", "distal")["spec"]

    assert spec["enableInTreeAutoscaling"] is True
    assert spec["autoscalerOptions"]["version"] == "v2"
    assert {group["groupName"] for group in spec["workerGroupSpecs"]} == {"cpu", "gpu"}
    for group in spec["workerGroupSpecs"]:
        assert 0 == group["minReplicas"] == group["replicas"] < group["maxReplicas"], "idle, it is its head alone"


def test_the_heads_memory_is_the_redis_of_the_folder_with_its_password_from_a_secret() -> None:
    fault_tolerance = one("RayCluster", "distal")["spec"]["gcsFaultToleranceOptions"]
    service = one("Service", "distal-redis")
    redis = one("StatefulSet", "distal-redis")

    assert fault_tolerance["redisAddress"] == f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    secret = fault_tolerance["redisPassword"]["valueFrom"]
    [container] = redis["spec"]["template"]["spec"]["containers"]
    assert all(variable["valueFrom"] == secret for variable in container["env"])
    assert service["spec"]["selector"] == redis["spec"]["selector"]["matchLabels"]
    [claim] = redis["spec"]["volumeClaimTemplates"]
    assert {"name": claim["metadata"]["name"], "mountPath": "/data"} in container["volumeMounts"]


def test_every_pod_is_closed_and_the_dashboard_is_open_to_the_submitter_and_the_operator_alone() -> None:
    policies = [p.values[0] for p in OBJECTS if p.values[0]["kind"] == "NetworkPolicy"]
    closing = one("NetworkPolicy", "nobody")["spec"]
    assert closing == {"podSelector": {}, "policyTypes": ["Ingress"]}

    to_the_dashboard = [
        (policy["metadata"]["name"], rule)
        for policy in policies
        for rule in policy["spec"].get("ingress", [])
        if any(port["port"] == 8265 for port in rule.get("ports", []))
    ]
    [(name, rule)] = to_the_dashboard
    assert name == "jobs-to-the-head"
    assert [peer["podSelector"]["matchLabels"] for peer in rule["from"]] == [
        {"distal/submitter": "true"},
        {"app.kubernetes.io/name": "kuberay-operator"},
    ]
    for policy in policies:
        for rule in policy["spec"].get("ingress", []):
            assert rule["from"], "an empty list admits everybody"
            assert not any("ipBlock" in peer for peer in rule["from"])


def test_the_namespace_refuses_pods_that_are_not_restricted() -> None:
    assert one("Namespace", "distal")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_job_takes_its_cluster_away_and_runs_a_configuration_that_distal_takes() -> None:
    job, held = one("RayJob", "distal-run")["spec"], one("ConfigMap", "distal-run")
    head = job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [gpu] = job["rayClusterSpec"]["workerGroupSpecs"]

    assert job["shutdownAfterJobFinishes"] is True
    assert {"name": "configuration", "mountPath": "/etc/distal", "readOnly": True} in head["containers"][0][
        "volumeMounts"
    ]
    assert job["entrypoint"] == "distal run /etc/distal/run.yaml"
    config = make_config(yaml.safe_load(held["data"]["run.yaml"]))
    assert config.storage == "/runs"
    assert config.train.workers == gpu["replicas"] == gpu["minReplicas"]
    assert "distal/submitter" in job["submitterPodTemplate"]["metadata"]["labels"]


def test_the_kustomization_names_every_file_but_the_job() -> None:
    named = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]

    assert set(named) == {p.name for p in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "rayjob.yaml"}
