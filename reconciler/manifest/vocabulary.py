"""The words of the manifest beyond what the models carry: keys without effect, with their shapes, and drivers.

The keys are those of the Compose Specification's schema, so that a Compose file is a manifest.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.manifest.shapes import FLAG, NUMBER, TEXT, Shape, fields, one_of

_TEXTS = Shape(items=TEXT)
_WORDS = Shape("text", items=TEXT)
_PAIRS = Shape(items=TEXT, values=TEXT)
_SIZE = _DURATION = TEXT
_MAP = Shape(values=TEXT)
_ANYTHING = Shape("text", items=TEXT, values=TEXT)
_EXTERNAL = fields(single="flag", name=TEXT)
_HOOK = fields("command", command=_WORDS, user=TEXT, privileged=FLAG, working_dir=TEXT, environment=_PAIRS)
_HOOKS = Shape(items=_HOOK)
_GRANTS = Shape(items=fields(single="text", source=TEXT, target=TEXT, uid=TEXT, gid=TEXT, mode=TEXT))
_ULIMITS = Shape(values=fields("soft hard", single="number", soft=NUMBER, hard=NUMBER))
_RATES = Shape(items=fields(path=TEXT, rate=TEXT))
_DEVICES = Shape(items=fields(capabilities=_TEXTS, count=TEXT, device_ids=_TEXTS, driver=TEXT, options=_PAIRS))
_ROLLOUT = fields(
    parallelism=NUMBER,
    delay=_DURATION,
    failure_action=TEXT,
    monitor=_DURATION,
    max_failure_ratio=NUMBER,
    order=one_of("start-first", "stop-first"),
)
_SECRET = fields(
    name=TEXT,
    content=TEXT,
    environment=TEXT,
    file=TEXT,
    external=_EXTERNAL,
    labels=_PAIRS,
    driver=TEXT,
    driver_opts=_MAP,
    template_driver=TEXT,
)

UNUSED_TOP: Mapping[str, Shape] = {
    "version": TEXT,
    "volumes": Shape(values=fields(name=TEXT, driver=TEXT, driver_opts=_MAP, external=_EXTERNAL, labels=_PAIRS)),
    "secrets": Shape(values=_SECRET),
    "configs": Shape(values=_SECRET),
    "models": Shape(values=fields("model", name=TEXT, model=TEXT, context_size=NUMBER, runtime_flags=_TEXTS)),
}
"""Top-level keys without effect on networking, and what Compose takes for them."""

UNUSED_CONTAINER: Mapping[str, Shape] = {
    "annotations": _PAIRS,
    "blkio_config": fields(
        device_read_bps=_RATES,
        device_read_iops=_RATES,
        device_write_bps=_RATES,
        device_write_iops=_RATES,
        weight=NUMBER,
        weight_device=Shape(items=fields(path=TEXT, weight=NUMBER)),
    ),
    "build": fields(
        single="text",
        context=TEXT,
        dockerfile=TEXT,
        dockerfile_inline=TEXT,
        entitlements=_TEXTS,
        args=_PAIRS,
        ssh=Shape("text", items=TEXT, values=TEXT),
        labels=_PAIRS,
        cache_from=_TEXTS,
        cache_to=_TEXTS,
        no_cache=FLAG,
        no_cache_filter=_WORDS,
        additional_contexts=_PAIRS,
        network=TEXT,
        provenance=TEXT,
        sbom=TEXT,
        pull=FLAG,
        target=TEXT,
        shm_size=_SIZE,
        extra_hosts=Shape(items=TEXT, values=_WORDS),
        isolation=TEXT,
        privileged=FLAG,
        secrets=_GRANTS,
        tags=_TEXTS,
        ulimits=_ULIMITS,
        platforms=_TEXTS,
    ),
    "cap_drop": _TEXTS,
    "cgroup": one_of("host", "private"),
    "cgroup_parent": TEXT,
    "configs": _GRANTS,
    "cpu_count": NUMBER,
    "cpu_percent": NUMBER,
    "cpu_period": _DURATION,
    "cpu_quota": _DURATION,
    "cpu_rt_period": _DURATION,
    "cpu_rt_runtime": _DURATION,
    "cpu_shares": NUMBER,
    "cpus": NUMBER,
    "cpuset": TEXT,
    "credential_spec": fields(config=TEXT, file=TEXT, registry=TEXT),
    "depends_on": Shape(
        items=TEXT,
        values=fields(
            restart=FLAG,
            required=FLAG,
            condition=one_of("service_started", "service_healthy", "service_completed_successfully"),
        ),
    ),
    "develop": fields(
        watch=Shape(
            items=fields(
                "path action",
                path=TEXT,
                action=one_of("rebuild", "sync", "restart", "sync+restart", "sync+exec"),
                target=TEXT,
                ignore=_WORDS,
                include=_WORDS,
                exec=_HOOK,
                initial_sync=FLAG,
            ),
        ),
    ),
    "device_cgroup_rules": _TEXTS,
    "devices": Shape(items=fields("source", single="text", source=TEXT, target=TEXT, permissions=TEXT)),
    "gpus": Shape("text", ("all",), items=_DEVICES.items),
    "group_add": _TEXTS,
    "healthcheck": fields(
        disable=FLAG,
        interval=_DURATION,
        retries=NUMBER,
        test=_WORDS,
        timeout=_DURATION,
        start_period=_DURATION,
        start_interval=_DURATION,
    ),
    "image": TEXT,
    "init": FLAG,
    "isolation": TEXT,
    "label_file": _WORDS,
    "labels": _PAIRS,
    "logging": fields(driver=TEXT, options=_MAP),
    "mem_limit": _SIZE,
    "mem_reservation": _SIZE,
    "mem_swappiness": NUMBER,
    "memswap_limit": _SIZE,
    "models": Shape(items=TEXT, values=fields(endpoint_var=TEXT, model_var=TEXT)),
    "oom_kill_disable": FLAG,
    "oom_score_adj": NUMBER,
    "pids_limit": NUMBER,
    "platform": TEXT,
    "post_start": _HOOKS,
    "pre_start": Shape(items=Shape(values=_ANYTHING)),
    "pre_stop": _HOOKS,
    "provider": fields("type", type=TEXT, options=Shape(values=_WORDS)),
    "pull_policy": TEXT,
    "pull_refresh_after": _DURATION,
    "read_only": FLAG,
    "runtime": TEXT,
    "secrets": _GRANTS,
    "security_opt": _TEXTS,
    "shm_size": _SIZE,
    "stdin_open": FLAG,
    "stop_grace_period": _DURATION,
    "stop_signal": TEXT,
    "storage_opt": _MAP,
    "tmpfs": _WORDS,
    "tty": FLAG,
    "ulimits": _ULIMITS,
    "use_api_socket": FLAG,
    "userns_mode": TEXT,
    "volumes": Shape(
        items=fields(
            "type",
            single="text",
            type=one_of("bind", "volume", "tmpfs", "cluster", "npipe", "image"),
            source=TEXT,
            target=TEXT,
            read_only=FLAG,
            consistency=TEXT,
            bind=fields(propagation=TEXT, create_host_path=FLAG, recursive=TEXT, selinux=TEXT),
            volume=fields(labels=_PAIRS, nocopy=FLAG, subpath=TEXT),
            tmpfs=fields(size=_SIZE, mode=TEXT),
            image=fields(subpath=TEXT),
        ),
    ),
    "volumes_from": _TEXTS,
}
"""A container's keys without effect on networking, and what Compose takes for them."""

UNUSED_DEPLOY: Mapping[str, Shape] = {
    "endpoint_mode": TEXT,
    "labels": _PAIRS,
    "mode": TEXT,
    "placement": fields(constraints=_TEXTS, preferences=Shape(items=fields(spread=TEXT)), max_replicas_per_node=NUMBER),
    "resources": fields(
        limits=fields(cpus=NUMBER, memory=_SIZE, pids=NUMBER),
        reservations=fields(
            cpus=NUMBER,
            memory=_SIZE,
            generic_resources=Shape(items=fields(discrete_resource_spec=fields(kind=TEXT, value=NUMBER))),
            devices=_DEVICES,
        ),
    ),
    "restart_policy": fields(condition=TEXT, delay=_DURATION, max_attempts=NUMBER, window=_DURATION),
    "rollback_config": _ROLLOUT,
    "update_config": _ROLLOUT,
}
"""The same for ``deploy``."""

KEPT = frozenset({"depends_on", "provider"})
"""Those of them that are looked at nevertheless: what they say of other keys."""

NOTED_CONTAINER = frozenset({"cap_add", "privileged"})
"""A container's keys that have no effect either, but are looked at for a warning."""

UNUSED_NETWORK: Mapping[str, Shape] = {"attachable": FLAG, "labels": _PAIRS}
UNUSED_IPAM: Mapping[str, Shape] = {"options": _MAP}
UNUSED_PORT: Mapping[str, Shape] = {"app_protocol": TEXT, "mode": TEXT}
NONE_UNUSED: Mapping[str, Shape] = {}

DRIVERS = frozenset({"bridge", "ipvlan", "macvlan"})
"""The network drivers that there are."""

_MODE = "remove the network, and write network_mode: %s on the container"
OTHER_DRIVERS: Mapping[str, str] = {
    "host": _MODE % "host",
    "none": _MODE % "none",
    "overlay": "a network of several hosts is not made; on one host driver bridge does the same",
    "vlan": "driver macvlan with driver_opts: {parent: eth0.10} makes VLAN 10",
}
"""Drivers that Docker or others have, and what to write instead."""

HOST_NETWORKS: Mapping[str, str] = {"host": _MODE % "host", "none": _MODE % "none"}
"""Names that Docker's own networks have, which cannot be joined, and what to write instead."""
DOCKER_NETWORKS = frozenset({"bridge", *HOST_NETWORKS})
"""Names that mean Docker's own networks to whoever has not declared one that is called so."""

UNUSED_EXAMPLES: dict[str, object] = {
    "annotations": {"org.example.team": "web"},
    "app_protocol": "http",
    "attachable": True,
    "blkio_config": {"weight": 300},
    "build": ".",
    "cap_drop": ["ALL"],
    "cgroup": "private",
    "cgroup_parent": "machine.slice",
    "configs": ["web_config"],
    "cpu_count": 2,
    "cpu_percent": 50,
    "cpu_period": "100000",
    "cpu_quota": "50000",
    "cpu_rt_period": "400ms",
    "cpu_rt_runtime": "100ms",
    "cpu_shares": 512,
    "cpus": 0.5,
    "cpuset": "0-1",
    "credential_spec": {"file": "spec.json"},
    "depends_on": ["db"],
    "develop": {"watch": []},
    "device_cgroup_rules": ["c 1:3 mr"],
    "devices": ["/dev/net/tun"],
    "endpoint_mode": "vip",
    "gpus": "all",
    "group_add": ["adm"],
    "healthcheck": {"test": "true"},
    "image": "nginx:1.27",
    "init": True,
    "isolation": "default",
    "label_file": "labels.env",
    "labels": {"org.example.role": "front"},
    "logging": {"driver": "json-file"},
    "mem_limit": "512m",
    "mem_reservation": "256m",
    "mem_swappiness": 0,
    "memswap_limit": "1g",
    "mode": "ingress",
    "models": ["llm"],
    "oom_kill_disable": False,
    "oom_score_adj": 100,
    "options": {"org.example.pool": "a"},
    "pids_limit": 100,
    "placement": {"constraints": ["node.role==manager"]},
    "platform": "linux/amd64",
    "post_start": [{"command": "true"}],
    "pre_start": [{"command": "true"}],
    "pre_stop": [{"command": "true"}],
    "provider": {"type": "model"},
    "pull_policy": "always",
    "pull_refresh_after": "24h",
    "read_only": True,
    "resources": {"limits": {"cpus": "0.5"}},
    "restart_policy": {"condition": "on-failure"},
    "rollback_config": {"parallelism": 1},
    "runtime": "runc",
    "secrets": ["token"],
    "security_opt": ["no-new-privileges:true"],
    "shm_size": "64m",
    "stdin_open": True,
    "stop_grace_period": "10s",
    "stop_signal": "SIGTERM",
    "storage_opt": {"size": "1G"},
    "tmpfs": ["/run"],
    "tty": True,
    "ulimits": {"nofile": 1024},
    "update_config": {"parallelism": 1},
    "use_api_socket": False,
    "userns_mode": "host",
    "volumes": ["./data:/data"],
    "volumes_from": ["db"],
}
"""An example of each, for the schema."""

UNUSED_TOP_EXAMPLES: dict[str, object] = {
    "configs": {"web_config": {"file": "web.conf"}},
    "models": {"llm": {"model": "smol"}},
    "secrets": {"token": {"environment": "TOKEN"}},
    "version": "3.8",
    "volumes": {"data": {}},
}
"""The same for the keys at the top, some of which mean something else in a container."""
