"""Builds the agent from its parts, runs it, and ends it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from elasticjob import files
from elasticjob.agent.api.api_threads import ApiThreads
from elasticjob.agent.api.conversation import Context, SetupError
from elasticjob.agent.api.credentials import Credentials
from elasticjob.agent.api.drivers import Machine
from elasticjob.agent.api.http import Client
from elasticjob.agent.api.messages import Address
from elasticjob.agent.clock import SystemClock
from elasticjob.agent.config import (
    Config,
    ConfigError,
    read_config,
    termination_log,
)
from elasticjob.agent.container_env import original_environment
from elasticjob.agent.inbox import Inbox
from elasticjob.agent.log import Log
from elasticjob.agent.loop import ElasticAgent
from elasticjob.agent.signals import Signals
from elasticjob.agent.termination import termination_message, write_termination_message
from elasticjob.agent.wait import Waiter
from elasticjob.agent.workers import ports
from elasticjob.agent.workers.environment import file_names
from elasticjob.agent.workers.output import Output
from elasticjob.agent.workers.process_tree import ProcessTree, adopt_orphans
from elasticjob.agent.workers.shutdown import kill_all
from elasticjob.agent.workers.supervisor import Supervisor
from elasticjob.rendezvous import new_agent
from elasticjob.rendezvous.actions import Exit
from elasticjob.rendezvous.state import EXIT_OK, Identity, setup_failure
from elasticjob.wire.lease import JobIdentity
from elasticjob.wire.member import Pod


def main(signals: Signals, arguments: Sequence[str]) -> int:
    """Run the agent to its end, and return its exit code."""
    environment = original_environment()
    output = Output()
    log = Log(output.write_line)
    try:
        exit_ = run_agent(read_config(environment, arguments), signals, output, log)
    except (ConfigError, SetupError) as error:
        exit_ = setup_failure(str(error))
        log.write("agent set-up failed", reason=exit_.reason)
    except Exception as error:
        import traceback  # only here: the import takes 2% of the time to join

        exit_ = setup_failure(f"internal error: {error!r}")
        for text in traceback.format_exc().splitlines():
            log.write(text)
    if exit_.code != EXIT_OK:
        write_termination_message(termination_log(environment), termination_message(exit_))
    output.close()
    return exit_.code


def run_agent(config: Config, signals: Signals, output: Output, log: Log) -> Exit:
    """Run the agent, then kill the processes that remain of its workers. Raises SetupError."""
    agent, supervisor = assemble(config, signals, output, log)
    try:
        agent.run()
    finally:
        supervisor.kill_everything()
    return agent.exit or Exit(EXIT_OK, "")


def assemble(
    config: Config, signals: Signals, output: Output, log: Log
) -> tuple[ElasticAgent, Supervisor]:
    """Build the agent of this pod and the supervisor of its workers. Raises SetupError."""
    clock = SystemClock()
    tree = ProcessTree(config.pod_uid, adopts=adopt_orphans())
    if not kill_all(tree.left_by_predecessor, clock.pause):
        raise SetupError(
            "SIGKILL did not end the processes of an earlier agent of this pod: delete the pod"
        )
    prepare_directory(config.directory, config.workers)
    who = identity(config)
    context = Context(
        job=JobIdentity(config.namespace, config.job, config.job_uid),
        identity=who,
        address=Address(config.api_host, config.api_port),
    )
    inbox = Inbox()
    client = Client(context.address, Credentials(config.token_directory), clock)
    api = ApiThreads(context, client, Machine(clock, log, random_fraction, inbox.put))
    supervisor = Supervisor(config, who.pod, tree, output, clock)
    waiter = Waiter(inbox, signals)
    me = new_agent(who, clock.now())
    return ElasticAgent(me, api, supervisor, inbox, waiter, clock, log), supervisor


def identity(config: Config) -> Identity:
    """Return the identity of this incarnation of the agent."""
    return Identity(
        pod=Pod(config.index, config.generation),
        name=config.pod,
        nonce=os.urandom(8).hex(),
        job_uid=config.job_uid,
        pod_uid=config.pod_uid,
        node=config.node,
        address=config.address,
        port_base=ports.port_base(config.job_uid, config.shares_network, ports.is_port_free),
        workers=config.workers,
        jitter=random_fraction(),
    )


def random_fraction() -> float:
    """Return a number in [0, 1). Importing random would take a tenth of the time to join."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def prepare_directory(directory: str, workers: int) -> None:
    """Create the directory of the workers' files, or remove those of an earlier incarnation.

    Raises SetupError.
    """
    reason: str | None = "the workers' files in it cannot be replaced"
    try:
        os.makedirs(directory, exist_ok=True)
        is_clear = files.clear(directory, file_names(workers))
        if is_clear and os.access(directory, os.W_OK | os.X_OK):
            return
    except OSError as error:
        reason = error.strerror
    raise SetupError(f"ELASTICJOB_DIR {directory}: {reason}: mount a writable volume there")
