"""Names and paths in the worker container that are reserved for the operator and the agent."""

from __future__ import annotations

AGENT_DIRECTORY = "/opt/elasticjob"
WORK_DIRECTORY = "/var/run/elasticjob"
TOKEN_DIRECTORY = "/var/run/secrets/elasticjob"
DIRECTORIES = (AGENT_DIRECTORY, WORK_DIRECTORY, TOKEN_DIRECTORY)

VOLUME_PREFIX = "elasticjob-"
ENV_PREFIX = "ELASTICJOB_"

# The agent sets these for each worker. Variables that torchrun leaves to the user remain allowed:
# OMP_NUM_THREADS, NCCL settings, TORCHELASTIC_ENABLE_FILE_TIMER and others.
WORKER_ENV = (
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "ROLE_RANK",
    "ROLE_NAME",
    "ROLE_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_MAX_RESTARTS",
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_USE_AGENT_STORE",
    "TORCHELASTIC_ERROR_FILE",
)
