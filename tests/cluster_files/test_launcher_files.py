"""cluster/aws.yaml and cluster/gcp.yaml: what `ray up` checks before it asks a provider, and our own rules."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[2] / "cluster"
LAUNCHERS = ["aws", "gcp"]
PLACES = {
    "YOUR_REGION": "us-west-2",
    "YOUR_ZONE": "us-west1-a",
    "YOUR_PROJECT": "project",
    "YOUR_REGISTRY": "registry.example.com",
    "YOUR_IMAGE": "ami-12c6146b",
    "YOUR_SUBNET": "subnet-1",
    "YOUR_GROUP": "sg-1",
}
AWS_ANSWERS = {
    "sts get-caller-identity": "123456789012",
    "configure get region": "us-west-2",
    "describe-vpcs": "vpc-1",
    "describe-subnets": "subnet-1",
    "describe-security-groups": "None",
    "create-security-group": "sg-1",
    "get-parameter": "ami-1",
}
GCLOUD_ANSWERS = {"config get-value project": "project", "images list": "https://example.com/image"}


def filled(name: str, **places: str) -> dict[str, Any]:
    """Read a launcher file with examples where a person's own names belong."""
    text = (CLUSTER / f"{name}.yaml").read_text()
    for place, example in {**PLACES, **places}.items():
        text = text.replace(place, example)
    config: dict[str, Any] = yaml.safe_load(text)
    return config


@pytest.fixture(params=LAUNCHERS)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return filled(request.param)


def test_ray_up_accepts_the_file_before_it_asks_the_provider(config: dict[str, Any]) -> None:
    prepared = prepare_config(config)

    validate_config(prepared)

    assert prepared["setup_commands"] == prepared["worker_setup_commands"] == []


def test_a_misspelt_key_of_the_file_is_refused(config: dict[str, Any]) -> None:
    config["idle_timeout_minuts"] = config.pop("idle_timeout_minutes")

    with pytest.raises(Exception, match="idle_timeout_minuts"):
        validate_config(prepare_config(config))


def test_every_ray_start_demands_the_token_and_the_file_with_it_is_mounted(config: dict[str, Any]) -> None:
    starts = [c for c in config["head_start_ray_commands"] + config["worker_start_ray_commands"] if "ray start" in c]

    assert len(starts) == 2
    assert all(command.startswith("RAY_AUTH_MODE=token ray start ") for command in starts)
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}


def test_ray_start_knows_every_option_that_it_is_given(config: dict[str, Any]) -> None:
    from ray.scripts.scripts import start

    for command in config["head_start_ray_commands"] + config["worker_start_ray_commands"]:
        _, found, options = command.partition("ray start ")
        if found:
            start.make_context("start", options.replace("$RAY_HEAD_IP", "10.0.0.1").split())  # parses, starts nothing


def test_the_dashboard_listens_on_the_heads_loopback(config: dict[str, Any]) -> None:
    [start] = [command for command in config["head_start_ray_commands"] if "--head" in command]

    assert "--dashboard-host=127.0.0.1" in start


@pytest.mark.parametrize("name", LAUNCHERS)
def test_nothing_is_open_to_the_whole_world(name: str) -> None:
    for path in (CLUSTER / f"{name}.yaml", CLUSTER / f"{name}-prepare.sh"):
        assert "0.0.0.0" not in path.read_text()
        assert "::/0" not in path.read_text()


def test_the_head_is_on_demand_with_no_cpu_and_the_workers_are_spot(config: dict[str, Any]) -> None:
    head, gpu = config["available_node_types"]["head"], config["available_node_types"]["gpu"]

    assert head["resources"]["CPU"] == 0
    assert any("--num-cpus=0" in command for command in config["head_start_ray_commands"])
    assert "SPOT" in json.dumps(gpu["node_config"]).upper()
    assert "SPOT" not in json.dumps(head["node_config"]).upper()
    assert gpu["resources"]["GPU"] == 1
    assert 0 == gpu["min_workers"] < gpu["max_workers"] <= config["max_workers"]


def test_machines_that_idle_end_and_leave_no_disk(config: dict[str, Any]) -> None:
    assert 0 < config["idle_timeout_minutes"] <= 15
    assert config["provider"]["cache_stopped_nodes"] is False


@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_packages_that_a_head_installs_are_pinned(name: str) -> None:
    for command in filled(name)["head_setup_commands"]:
        assert command.startswith("pip install ")
        assert "==" in command


@pytest.fixture
def aws_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An AWS account in memory (moto) in which what aws-prepare.sh makes is there."""
    moto = pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray writes the key pair that it makes into ~/.ssh
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "testing")
    with moto.mock_aws():
        yield boto3.Session(region_name="us-west-2")


def test_ray_up_makes_no_group_and_no_role_of_its_own_on_aws(aws_account: Any) -> None:
    from ray.autoscaler._private.aws.config import bootstrap_aws

    ec2, iam = aws_account.client("ec2"), aws_account.client("iam")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName="distal", Description="-", VpcId=subnet["VpcId"])["GroupId"]
    prepared = prepare_config(filled("aws", YOUR_SUBNET=subnet["SubnetId"], YOUR_GROUP=group))
    validate_config(prepared)

    resolved = bootstrap_aws(prepared)

    for node_type in resolved["available_node_types"].values():
        assert node_type["node_config"]["SecurityGroupIds"] == [group]
    opened = [rule for g in ec2.describe_security_groups()["SecurityGroups"] for rule in g["IpPermissions"]]
    assert not any(ip["CidrIp"] == "0.0.0.0/0" for rule in opened for ip in rule["IpRanges"])
    assert iam.list_roles()["Roles"] == []


def test_rays_node_provider_starts_the_machines_of_the_file_on_aws(aws_account: Any) -> None:
    from ray.autoscaler._private.aws.config import bootstrap_aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    ec2, iam = aws_account.client("ec2"), aws_account.client("iam")
    subnet = ec2.describe_subnets()["Subnets"][0]
    group = ec2.create_security_group(GroupName="distal", Description="-", VpcId=subnet["VpcId"])["GroupId"]
    for profile in ("distal-head", "distal-worker"):
        iam.create_instance_profile(InstanceProfileName=profile)
    resolved = bootstrap_aws(prepare_config(filled("aws", YOUR_SUBNET=subnet["SubnetId"], YOUR_GROUP=group)))
    provider = AWSNodeProvider(resolved["provider"], resolved["cluster_name"])

    for name, node_type in resolved["available_node_types"].items():
        provider.create_node(node_type["node_config"], {"ray-user-node-type": name}, 1)

    instances = [i for reserved in ec2.describe_instances()["Reservations"] for i in reserved["Instances"]]
    kinds = {i["InstanceType"]: (i.get("InstanceLifecycle"), i["IamInstanceProfile"]["Arn"]) for i in instances}
    assert kinds["m7i.xlarge"][0] is None
    assert kinds["m7i.xlarge"][1].endswith("/distal-head")
    assert kinds["g6.2xlarge"][0] == "spot"
    assert kinds["g6.2xlarge"][1].endswith("/distal-worker")


def prepare(tmp_path: Path, name: str, answers: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a prepare script with a stand-in for the cloud's command line: it notes its arguments and answers."""
    stand_in = tmp_path / ("aws" if name == "aws" else "gcloud")
    cases = "\n".join(f"    *'{words}'*) echo '{answer}' ;;" for words, answer in answers.items())
    missing = "*describe*|*head-bucket*|*get-instance-profile*) exit 1 ;;"
    notes = tmp_path / "calls"
    stand_in.write_text(f"#!/bin/bash\necho \"$*\" >>'{notes}'\ncase $* in\n{cases}\n    {missing}\nesac\n")
    stand_in.chmod(0o755)
    return subprocess.run(
        [CLUSTER / f"{name}-prepare.sh", *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "answers", "zone"), [("aws", AWS_ANSWERS, []), ("gcp", GCLOUD_ANSWERS, ["us-central1-a"])]
)
class TestPrepare:
    def test_prints_the_file_filled_in(
        self, tmp_path: Path, name: str, answers: dict[str, str], zone: list[str]
    ) -> None:
        done = prepare(tmp_path, name, answers, "bucket", "203.0.113.7/32", *zone)

        assert done.returncode == 0, done.stderr
        assert "YOUR_" not in done.stdout
        validate_config(prepare_config(yaml.safe_load(done.stdout)))

    def test_opens_ssh_to_the_range_given_and_nothing_else(
        self, tmp_path: Path, name: str, answers: dict[str, str], zone: list[str]
    ) -> None:
        prepare(tmp_path, name, answers, "bucket", "203.0.113.7/32", *zone)

        opened = [
            call
            for call in (tmp_path / "calls").read_text().splitlines()
            if "authorize-security-group-ingress" in call or "firewall-rules create" in call
        ]
        assert len(opened) == 2
        [to_the_range] = [call for call in opened if "203.0.113.7/32" in call]
        assert "22" in to_the_range
        [among_themselves] = [call for call in opened if call != to_the_range]
        assert "--source-group sg-1" in among_themselves or "--source-tags distal" in among_themselves

    @pytest.mark.parametrize("range_", ["0.0.0.0/0", "0.0.0.0/1", "anywhere"])
    def test_refuses_a_range_that_is_the_world(
        self, tmp_path: Path, name: str, answers: dict[str, str], zone: list[str], range_: str
    ) -> None:
        done = prepare(tmp_path, name, answers, "bucket", range_, *zone)

        assert done.returncode == 1
        assert range_ in done.stderr
        assert not (tmp_path / "calls").exists()


def test_the_policies_of_the_aws_roles_are_json_and_only_the_head_launches(tmp_path: Path) -> None:
    prepare(tmp_path, "aws", AWS_ANSWERS, "bucket", "203.0.113.7/32")

    calls = (tmp_path / "calls").read_text()
    policies = {}
    for part in calls.split("iam put-role-policy --role-name ")[1:]:
        role, _, rest = part.partition(" ")
        policies[role], _ = json.JSONDecoder().raw_decode(rest.partition("--policy-document ")[2])
    actions = {role: json.dumps([s["Action"] for s in policy["Statement"]]) for role, policy in policies.items()}
    assert "ec2:RunInstances" in actions["distal-head"]
    assert "ec2:" not in actions["distal-worker"]
    assert "iam:" not in actions["distal-worker"]
    assert not any('"*"' in text or "s3:*" in text for text in actions.values())
