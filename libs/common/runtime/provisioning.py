"""The streams and durable consumers of the house, made or adjusted in one idempotent step.

Durability is spent where losing a message could cost money: the journal is on file, never purged or
deleted; everything else is bounded by age and bytes.
"""

import asyncio

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from libs.common.messages import subjects
from libs.common.runtime.bus import Bus
from libs.common.runtime.config import BusConfig
from libs.common.runtime.errors import BusUnavailable
from libs.common.runtime.log import get_logger

log = get_logger(__name__)

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
MIB = 1 << 20
SIGNAL_CONSUMER = "signal"
RISK_CONSUMER = "risk"
#: Approved intents of an account that may be under way at once, over all its replicas; each of them
#: takes no more than ``execution.in_flight_max``.
APPROVALS_IN_FLIGHT_MAX = 256


def execution_consumer(account: str) -> str:
    """The durable consumer of approved intents of one account."""
    return f"execution-{account}"


def command_consumer(account: str) -> str:
    """The durable consumer of commands to one account."""
    return f"command-{account}"


def _stream(
    name: str,
    subject_list: list[str],
    *,
    max_age_s: float | None,
    max_bytes: int,
    retention: RetentionPolicy = RetentionPolicy.LIMITS,
    duplicate_window_s: float = 120,
    messages_per_subject_max: int = -1,
    keep_for_ever: bool = False,
) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=subject_list,
        storage=StorageType.FILE,
        retention=retention,
        # A full work queue or journal must refuse the newest, never drop what it accepted.
        discard=DiscardPolicy.NEW
        if keep_for_ever or retention is RetentionPolicy.WORK_QUEUE
        else DiscardPolicy.OLD,
        max_age=max_age_s,
        max_bytes=max_bytes,
        max_msgs_per_subject=messages_per_subject_max,
        duplicate_window=duplicate_window_s,
        deny_delete=keep_for_ever,
        deny_purge=keep_for_ever,
        allow_direct=False,
    )


def stream_configs() -> tuple[StreamConfig, ...]:
    """Every stream, with its storage, retention, age, size and discard policy."""
    work_queue = RetentionPolicy.WORK_QUEUE
    return (
        _stream(
            subjects.MARKET_STREAM,
            ["market.candle.>"],
            max_age_s=7 * DAY_S,
            max_bytes=1024 * MIB,
            duplicate_window_s=HOUR_S,
        ),
        _stream(
            subjects.INTENTS_STREAM,
            ["intent.proposed.>", "intent.approved.>"],
            max_age_s=DAY_S,
            max_bytes=256 * MIB,
            retention=work_queue,
            duplicate_window_s=HOUR_S,
        ),
        _stream(
            subjects.INTENTS_DONE_STREAM,
            ["intent.refused.>", "intent.verdict.>"],
            max_age_s=30 * DAY_S,
            max_bytes=1024 * MIB,
            duplicate_window_s=HOUR_S,
        ),
        _stream(
            subjects.COMMANDS_STREAM,
            ["command.>"],
            max_age_s=DAY_S,
            max_bytes=64 * MIB,
            retention=work_queue,
        ),
        _stream(
            subjects.JOURNAL_STREAM,
            ["journal.>"],
            max_age_s=None,
            max_bytes=16 * 1024 * MIB,
            keep_for_ever=True,
            duplicate_window_s=HOUR_S,
        ),
        _stream(
            subjects.SNAPSHOTS_STREAM,
            ["snapshot.>"],
            max_age_s=None,
            max_bytes=64 * MIB,
            messages_per_subject_max=1,
        ),
        _stream(
            subjects.REPORTS_STREAM, ["reconcile.>"], max_age_s=30 * DAY_S, max_bytes=256 * MIB
        ),
        _stream(subjects.DEAD_STREAM, ["dead.>"], max_age_s=30 * DAY_S, max_bytes=256 * MIB),
    )


def consumer_configs(account: str, settings: BusConfig) -> tuple[tuple[str, ConsumerConfig], ...]:
    """(stream, durable consumer) pairs: explicit acks.

    One message in flight each, so that they are handled in order, but for approved intents: the
    gate takes them in any order, and none may grow old behind one that the venue does not answer.
    """

    def durable(
        stream: str, name: str, subject: str, in_flight_max: int = 1
    ) -> tuple[str, ConsumerConfig]:
        return stream, ConsumerConfig(
            durable_name=name,
            filter_subject=subject,
            ack_policy=AckPolicy.EXPLICIT,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=settings.ack_wait_ms / 1000,
            max_ack_pending=in_flight_max,
            max_deliver=-1,
        )

    return (
        durable(subjects.MARKET_STREAM, SIGNAL_CONSUMER, "market.candle.>"),
        durable(subjects.INTENTS_STREAM, RISK_CONSUMER, "intent.proposed.>"),
        durable(
            subjects.INTENTS_STREAM,
            execution_consumer(account),
            f"intent.approved.{account}.>",
            APPROVALS_IN_FLIGHT_MAX,
        ),
        durable(subjects.COMMANDS_STREAM, command_consumer(account), f"command.{account}.>"),
    )


def bucket_configs(settings: BusConfig) -> tuple[KeyValueConfig, ...]:
    """Every KV bucket: read models, and the leases of services of which one replica leads."""
    return tuple(
        KeyValueConfig(
            bucket=name,
            history=1,
            storage=StorageType.FILE,
            max_bytes=max_bytes,
            replicas=settings.replicas,
        )
        for name, max_bytes in ((subjects.VIEW_BUCKET, 64 * MIB), (subjects.LEASE_BUCKET, MIB))
    )


def bucket_stream(bucket: str) -> str:
    """The stream that holds a bucket."""
    return f"KV_{bucket}"


async def provision(bus: Bus, account: str, settings: BusConfig) -> None:
    """Make every stream, bucket and consumer that is missing; adjust those that differ.

    Raises:
        BusUnavailable: the broker refused or did not answer.
    """
    jetstream = bus.jetstream
    try:
        for config in stream_configs():
            assert config.name is not None
            config.num_replicas = settings.replicas
            try:
                await jetstream.stream_info(config.name)
            except NotFoundError:
                await jetstream.add_stream(config)
            else:
                await jetstream.update_stream(config)
        for bucket in bucket_configs(settings):
            await _make_bucket(jetstream, bucket)
        for stream, consumer in consumer_configs(account, settings):
            await jetstream.add_consumer(stream, consumer)
    except (NatsError, TimeoutError) as error:
        # An error of the broker's shows what it said only as a string, one of ours only as itself.
        why = getattr(error, "description", None) or repr(error)
        raise BusUnavailable(f"the broker could not be provisioned: {why}") from error
    log.info("streams provisioned", account=account)


async def _make_bucket(jetstream: JetStreamContext, bucket: KeyValueConfig) -> None:
    """Make a bucket; of one that is there only size and replicas are adjusted, nothing is lost."""
    try:
        made = (await jetstream.stream_info(bucket_stream(bucket.bucket))).config
    except NotFoundError:
        await jetstream.create_key_value(bucket)
        return
    if (made.num_replicas, made.max_bytes) != (bucket.replicas, bucket.max_bytes):
        await jetstream.update_stream(
            made, num_replicas=bucket.replicas, max_bytes=bucket.max_bytes
        )


async def wait_until_provisioned(bus: Bus, account: str, settings: BusConfig) -> None:
    """Return once every stream and consumer is there.

    Raises:
        BusUnavailable: they were not made within ``provision_wait_ms``.
    """
    waited_ms = 0
    while True:
        try:
            for stream, consumer in consumer_configs(account, settings):
                assert consumer.durable_name is not None
                await bus.jetstream.consumer_info(stream, consumer.durable_name)
            await bus.jetstream.stream_info(subjects.JOURNAL_STREAM)
        except (NatsError, TimeoutError) as error:
            if waited_ms >= settings.provision_wait_ms:
                raise BusUnavailable(
                    f"the streams of account {account!r} are not there ({error!r});"
                    " run: portcullis provision"
                ) from error
            waited_ms += settings.reconnect_wait_ms
            await asyncio.sleep(settings.reconnect_wait_ms / 1000)
        else:
            return
