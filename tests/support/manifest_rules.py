"""Rules that rendered manifests keep, beyond their schemas: what is named exists, what is selected is there."""

import re
from collections import defaultdict
from collections.abc import Iterator

from support.manifest_files import called, pods_of

KUBEFLOW_S = {"pipeline/runid"}  # a label of pods that Kubeflow makes
# Ports of name servers, of storage, of clouds' metadata servers, of Kubernetes' API and of Kubeflow's services
ELSEWHERE = {53, 80, 443, 988, 6443, 8080, 8333, 8443, 8887, 8888, 9000, 16443}


def broken_rules(objects: list[dict], provided: dict[str, set[str]]) -> list[str]:
    """What is wrong with objects that are applied together.

    Args:
        objects: As rendered.
        provided: The keys of the secrets that someone makes by hand.
    """
    found = [problem for rule in RULES for problem in rule(objects)]
    return found + list(_secrets(objects, provided))


def keys_wanted(objects: list[dict]) -> dict[str, set[str]]:
    """The keys of secrets that containers name."""
    wanted = defaultdict(set)
    for _, container in _containers(objects):
        for one in container.get("env", ()):
            if reference := one.get("valueFrom", {}).get("secretKeyRef"):
                wanted[reference["name"]].add(reference["key"])
    return wanted


def _named(objects: list[dict], kind: str) -> dict[str, dict]:
    return {thing["metadata"]["name"]: thing for thing in objects if thing["kind"] == kind}


def _containers(objects: list[dict]) -> Iterator[tuple[str, dict]]:
    for pods in pods_of(objects):
        for container in pods.spec.get("initContainers", []) + pods.spec["containers"]:
            yield f"{pods.where}: container {container['name']}", container


def _chosen(objects: list[dict], selector: dict) -> list:
    """The pods that a selector means."""
    wanted = dict(selector.get("matchLabels", {}))
    return [
        pods
        for pods in pods_of(objects)
        if wanted.items() <= pods.labels.items() and all(_fits(one, pods.labels) for one in _expressions(selector))
    ]


def _expressions(selector: dict) -> list[dict]:
    return selector.get("matchExpressions", [])


def _fits(expression: dict, labels: dict) -> bool:
    value = labels.get(expression["key"])
    return value is not None and (expression["operator"] == "Exists" or value in expression["values"])


def _of_kubeflow(selector: dict) -> bool:
    return bool({one["key"] for one in _expressions(selector)} & KUBEFLOW_S)


def _accounts(objects: list[dict]) -> Iterator[str]:
    accounts = _named(objects, "ServiceAccount")
    for pods in pods_of(objects):
        if pods.spec.get("serviceAccountName") not in accounts:
            yield f"{pods.where}: there is no ServiceAccount {pods.spec.get('serviceAccountName')}"
        if pods.spec.get("automountServiceAccountToken") is not False:
            yield f"{pods.where}: mounts a token that nothing here needs"


def _roles(objects: list[dict]) -> Iterator[str]:
    accounts, roles = _named(objects, "ServiceAccount"), _named(objects, "Role")
    for binding in _named(objects, "RoleBinding").values():
        if binding["roleRef"]["name"] not in roles:
            yield f"{called(binding)}: there is no Role {binding['roleRef']['name']}"
        for subject in binding["subjects"]:
            if subject["name"] not in accounts:
                yield f"{called(binding)}: there is no ServiceAccount {subject['name']}"


def _powers(objects: list[dict]) -> Iterator[str]:
    for role in _named(objects, "Role").values():
        for rule in role["rules"]:
            if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]:
                yield f"{called(role)}: allows everything of a kind"
            if "secrets" in rule["resources"] and not rule.get("resourceNames"):
                yield f"{called(role)}: allows every secret"


def _volumes(objects: list[dict]) -> Iterator[str]:
    claims, configs = _named(objects, "PersistentVolumeClaim"), _named(objects, "ConfigMap")
    for pods in pods_of(objects):
        for volume in pods.spec.get("volumes", ()):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in claims:
                yield f"{pods.where}: there is no PersistentVolumeClaim {claim}"
            config = volume.get("configMap", {}).get("name")
            if config is not None and config not in configs:
                yield f"{pods.where}: there is no ConfigMap {config}"
            if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
                yield f"{pods.where}: volume {volume['name']} has no bound"


def _mounts(objects: list[dict]) -> Iterator[str]:
    for pods in pods_of(objects):
        there = {one["metadata"]["name"] for one in pods.owner["spec"].get("volumeClaimTemplates", ())}
        there |= {volume["name"] for volume in pods.spec.get("volumes", ())}
        mounted = {mount["name"] for one in pods.spec["containers"] for mount in one.get("volumeMounts", ())}
        for name in sorted(mounted ^ there):
            yield f"{pods.where}: volume {name} is not both there and mounted"


def _variables(objects: list[dict]) -> Iterator[str]:
    for where, container in _containers(objects):
        earlier: set[str] = set()
        for one in container.get("env", ()):
            for name in sorted(set(re.findall(r"\$\((\w+)\)", one.get("value", ""))) - earlier):
                yield f"{where}: {one['name']}: no variable {name} before it"
            earlier.add(one["name"])


def _settings(objects: list[dict]) -> Iterator[str]:
    configs = _named(objects, "ConfigMap")
    for where, container in _containers(objects):
        for source in container.get("envFrom", ()):
            if source["configMapRef"]["name"] not in configs:
                yield f"{where}: there is no ConfigMap {source['configMapRef']['name']}"
        for one in container.get("env", ()):
            reference = one.get("valueFrom", {}).get("configMapKeyRef")
            if reference and reference["key"] not in configs.get(reference["name"], {}).get("data", ()):
                yield f"{where}: ConfigMap {reference['name']} has no key {reference['key']}"


def _secrets(objects: list[dict], provided: dict[str, set[str]]) -> Iterator[str]:
    for name, keys in keys_wanted(objects).items():
        for key in sorted(keys - provided.get(name, set())):
            yield f"nobody provides Secret {name} with key {key}"


def _nothing_secret(objects: list[dict]) -> Iterator[str]:
    yield from (f"{called(thing)}: a secret has no place here" for thing in objects if thing["kind"] == "Secret")
    for config in _named(objects, "ConfigMap").values():
        for name in config["data"]:
            if re.search("password|secret|token|credential", name, re.IGNORECASE):
                yield f"{called(config)}: {name} has no place in a ConfigMap"


def _ports(pods: list) -> set:
    """Names and numbers of the ports that pods open."""
    ports = [port for one in pods for container in one.spec["containers"] for port in container.get("ports", ())]
    return {port["name"] for port in ports} | {port["containerPort"] for port in ports}


def _services(objects: list[dict]) -> Iterator[str]:
    services = _named(objects, "Service")
    for service in services.values():
        chosen = _chosen(objects, {"matchLabels": service["spec"]["selector"]})
        if not chosen:
            yield f"{called(service)}: selects no pods"
        for port in service["spec"]["ports"]:
            if chosen and port["targetPort"] not in _ports(chosen):
                yield f"{called(service)}: no container opens port {port['targetPort']}"
    for pods in pods_of(objects):
        for name in {pods.owner["spec"].get("serviceName"), pods.spec.get("subdomain")} - {None}:
            if name not in services:
                yield f"{pods.where}: there is no Service {name}"


def _workloads(objects: list[dict]) -> Iterator[str]:
    for pods in pods_of(objects):
        selector = pods.owner["spec"].get("selector", {}).get("matchLabels", {})
        if not selector.items() <= pods.labels.items():
            yield f"{pods.where}: does not select its own pods"
    runtimes = _named(objects, "TrainingRuntime")
    for job in _named(objects, "TrainJob").values():
        if job["spec"]["runtimeRef"]["name"] not in runtimes:
            yield f"{called(job)}: there is no TrainingRuntime {job['spec']['runtimeRef']['name']}"


def _probes(objects: list[dict]) -> Iterator[str]:
    for pods in pods_of(objects):
        for where, container in _containers([pods.owner]):
            ports = _ports([pods])
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if port is not None and port not in ports:
                    yield f"{where}: {probe} asks at port {port}, which is not open"
                if pods.owner["kind"] in {"Deployment", "StatefulSet"} and probe not in container:
                    yield f"{where}: has no {probe}"


def _policies(objects: list[dict]) -> Iterator[str]:
    policies = _named(objects, "NetworkPolicy").values()
    if not any(policy["spec"]["podSelector"] == {} and "ingress" not in policy["spec"] for policy in policies):
        yield "no NetworkPolicy denies what no other allows"
    for policy in policies:
        where, spec = called(policy), policy["spec"]
        own = _chosen(objects, spec["podSelector"])
        if not own and not _of_kubeflow(spec["podSelector"]):
            yield f"{where}: selects no pods"
        for rule in spec.get("ingress", ()):
            yield from _peers(objects, where, rule.get("from", ()))
            yield from _closed_ports(where, rule, own)
        if {} in spec.get("egress", ()):
            yield f"{where}: lets its pods reach everything"
        for rule in spec.get("egress", ()):
            yield from _peers(objects, where, rule.get("to", ()))
            yield from _closed_ports(where, rule, _goals(objects, rule.get("to", ())))


def _goals(objects: list[dict], peers: list[dict]) -> list | None:
    """The pods that a rule lets others talk to; nothing where it means the world outside."""
    inside = [peer["podSelector"] for peer in peers if "podSelector" in peer]
    return [pods for selector in inside for pods in _chosen(objects, selector)] if inside else None


def _peers(objects: list[dict], where: str, peers: list[dict]) -> Iterator[str]:
    for peer in peers:
        selector = peer.get("podSelector")
        if selector is not None and not _of_kubeflow(selector) and not _chosen(objects, selector):
            yield f"{where}: names peers that are no pods of these: {selector}"


def _closed_ports(where: str, rule: dict, pods: list | None) -> Iterator[str]:
    """Ports of a rule that no container opens; without pods those that nobody knows."""
    known = ELSEWHERE if pods is None else _ports(pods)
    for port in rule.get("ports", ()):
        if port["port"] not in known:
            yield f"{where}: nothing listens at port {port['port']}"


def _budgets(objects: list[dict]) -> Iterator[str]:
    for budget in _named(objects, "PodDisruptionBudget").values():
        chosen = _chosen(objects, budget["spec"]["selector"])
        if not chosen:
            yield f"{called(budget)}: selects no pods"
        least = budget["spec"].get("minAvailable", 0)
        if least and least > sum(_replicas(pods.owner) for pods in chosen):
            yield f"{called(budget)}: wants more pods than there are"


def _replicas(owner: dict) -> int:
    spec = owner["spec"]
    workers = spec.get("tfReplicaSpecs", {}).get("Worker", {}).get("replicas")
    return workers or spec.get("replicas") or spec.get("completions") or spec["mlPolicy"]["numNodes"]


def _confined(objects: list[dict]) -> Iterator[str]:
    for pods in pods_of(objects):
        security = pods.spec.get("securityContext", {})
        if not security.get("runAsNonRoot") or not security.get("runAsUser"):
            yield f"{pods.where}: may run as root"
        if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pods.where}: has no seccomp profile"
    for where, container in _containers(objects):
        security = container.get("securityContext", {})
        dropped = security.get("capabilities", {}).get("drop") == ["ALL"]
        if not (
            dropped and security.get("readOnlyRootFilesystem") and security.get("allowPrivilegeEscalation") is False
        ):
            yield f"{where}: is not confined"
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if not tag or tag == "latest":
            yield f"{where}: image {container['image']} is not pinned"


def _bounded(objects: list[dict]) -> Iterator[str]:
    for where, container in _containers(objects):
        resources = container.get("resources", {})
        for kind in ("requests", "limits"):
            for name in sorted({"cpu", "memory"} - resources.get(kind, {}).keys()):
                yield f"{where}: has no {kind} of {name}"


def _open(objects: list[dict]) -> Iterator[str]:
    for service in _named(objects, "Service").values():
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"{called(service)}: is open to the world"
    for pods in pods_of(objects):
        if pods.spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}:
            yield f"{pods.where}: shares the node's network or processes"


RULES = (
    _accounts, _roles, _powers, _volumes, _mounts, _variables, _settings, _nothing_secret, _services, _workloads,
    _probes, _policies, _budgets, _confined, _bounded, _open,
)  # fmt: skip
