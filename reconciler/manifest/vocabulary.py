"""The words of the manifest beyond what the models carry: keys without effect, and words to come.

The keys are those of the Compose Specification's schema, so that a Compose file is a manifest.
"""

from __future__ import annotations

UNUSED_TOP = frozenset({"version", "volumes", "secrets", "configs", "models"})
"""Top-level keys without effect on networking."""

UNUSED_CONTAINER = frozenset(
    {
        "annotations",
        "attach",
        "blkio_config",
        "build",
        "cap_add",
        "cap_drop",
        "cgroup",
        "cgroup_parent",
        "configs",
        "cpu_count",
        "cpu_percent",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "cpus",
        "cpuset",
        "credential_spec",
        "depends_on",
        "deploy",
        "develop",
        "device_cgroup_rules",
        "devices",
        "env_file",
        "gpus",
        "group_add",
        "healthcheck",
        "image",
        "init",
        "ipc",
        "isolation",
        "label_file",
        "labels",
        "logging",
        "mem_limit",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "models",
        "oom_kill_disable",
        "oom_score_adj",
        "pid",
        "pids_limit",
        "platform",
        "post_start",
        "pre_start",
        "pre_stop",
        "privileged",
        "provider",
        "pull_policy",
        "pull_refresh_after",
        "read_only",
        "restart",
        "runtime",
        "scale",
        "secrets",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "storage_opt",
        "tmpfs",
        "tty",
        "ulimits",
        "use_api_socket",
        "userns_mode",
        "uts",
        "volumes",
        "volumes_from",
    },
)
"""A container's keys without effect on networking."""

UNUSED_NETWORK = frozenset({"attachable", "labels"})
UNUSED_IPAM = frozenset({"options"})
UNUSED_PORT = frozenset({"app_protocol", "mode"})

DRIVERS = frozenset({"bridge", "host", "ipvlan", "macvlan", "none", "overlay", "vlan"})
"""The network drivers that have a name, built or still to come."""
