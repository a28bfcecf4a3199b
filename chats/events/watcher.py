"""Asks the database what has changed for the users who have a stream here."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from time import monotonic, thread_time
from typing import Any
from uuid import UUID

from django.db import connection

from chats.events.announcements import is_announced, listen
from chats.events.hub import Hub
from chats.events.memberships import Change, Memberships
from messaging_app.backends.cache import RETRY_SECONDS

# After a round. What is announced meanwhile is read in one query.
BATCH_SECONDS = 0.05
# The same without announcements.
POLL_SECONDS = 0.1
# In a process that has many streams, rounds take a fifth of a processor at most.
REST_FACTOR = 4
MAX_REST_SECONDS = 2
# How often tokens are checked. Also finds what was not announced, by a process that was killed for
# example.
CHECK_SECONDS = 14
# When Redis is back, other processes use it again after RETRY_SECONDS.
SETTLING_SECONDS = 2 * RETRY_SECONDS
RECONNECT_SECONDS = 1

logger = logging.getLogger("django.db")


class Watcher:
    """Runs one round after another, in a thread and with a connection of its own.

    Its tasks survive every error: without them, streams would be silent.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.memberships = Memberships()
        self.thread = ThreadPoolExecutor(1)
        self.loop = asyncio.get_running_loop()
        self.announced: set[UUID] = set()
        self.is_listening = False
        self.polls_until = self.next_check = 0.0
        # Of the processor, in this round.
        self.used_seconds = 0.0
        self.tasks = [self.loop.create_task(self.watch())]
        if is_announced():
            self.tasks.append(self.loop.create_task(self.listen()))

    @property
    def is_polling(self) -> bool:
        return not self.is_listening or monotonic() < self.polls_until

    async def listen(self) -> None:
        """Only while there are streams: each announcement costs time."""
        settling_seconds = 0.0
        while True:
            await self.hub.has_streams.wait()
            try:
                async with aclosing(listen()) as announcements:
                    async for conversation_ids in announcements:
                        if not self.hub.streams:
                            break
                        self.take(conversation_ids, settling_seconds)
                settling_seconds = 0.0
            except Exception as error:
                if not settling_seconds:
                    logger.warning(
                        "Announcements failed; the database is polled instead: %r", error
                    )
                settling_seconds = SETTLING_SECONDS
            self.is_listening = False
            self.hub.woken.set()
            await asyncio.sleep(RECONNECT_SECONDS)

    def take(self, conversation_ids: list[UUID], settling_seconds: float) -> None:
        if not self.is_listening:
            self.is_listening = True
            self.polls_until = monotonic() + settling_seconds
            # What was announced before this moment is found by a check.
            self.next_check = 0.0
        self.announced.update(conversation_ids)
        self.hub.woken.set()

    async def watch(self) -> None:
        while True:
            begin, self.used_seconds = monotonic(), 0.0
            await self.run_round()
            await self.rest(monotonic() - begin)

    async def run_round(self) -> None:
        hub, memberships = self.hub, self.memberships
        hub.woken.clear()
        new, hub.new = hub.new, []
        announced, self.announced = self.announced, set()
        is_due = monotonic() >= self.next_check
        if is_due:
            self.next_check = monotonic() + CHECK_SECONDS
        streams = hub.get_all() if is_due else []
        hub.end_expired(streams)
        try:
            if hub.has_other_users:
                hub.has_other_users = False
                await self.run(memberships.follow, set(hub.streams))
            hub.begin(new)
            if not memberships.known:
                return
            if announced:
                await self.deliver(memberships.update_conversations(announced))
            if is_due:
                hub.end_revoked(streams, await self.run(memberships.read_passwords))
            elif self.is_polling:
                await self.run(memberships.read_version)
            if (is_due or self.is_polling) and memberships.is_outdated:
                await self.deliver(memberships.update())
        except Exception as error:
            # What is new or was announced is read in the next round, with everything else.
            logger.warning("The database failed; events wait: %r", error)
            hub.new += [stream for stream in new if not stream.is_ready]
            hub.has_other_users = True
            memberships.reset()
            self.next_check = 0.0
            await asyncio.sleep(RECONNECT_SECONDS)

    async def deliver(self, updates: Iterator[list[Change]]) -> None:
        while (changes := await self.run(next, updates, None)) is not None:
            self.hub.deliver(changes)

    async def run(self, query: Callable, *arguments: Any) -> Any:
        return await self.loop.run_in_executor(self.thread, self.run_query, query, *arguments)

    def run_query(self, query: Callable, *arguments: Any) -> Any:
        begin = thread_time()
        try:
            connection.close_if_unusable_or_obsolete()
            return query(*arguments)
        finally:
            self.used_seconds += thread_time() - begin

    async def rest(self, seconds: float) -> None:
        """After a round that took so many seconds."""
        shortest = POLL_SECONDS if self.is_polling else BATCH_SECONDS
        await asyncio.sleep(get_rest_seconds(shortest, seconds, self.used_seconds))
        if not self.hub.streams:
            await self.hub.woken.wait()
        elif not self.is_polling:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.next_check - monotonic()):
                    await self.hub.woken.wait()


def get_rest_seconds(shortest: float, seconds: float, used_seconds: float) -> float:
    """After a round that took `seconds` and used the processor for `used_seconds`. On a busy
    machine, the first is much longer."""
    return min(max(shortest, seconds, REST_FACTOR * used_seconds), MAX_REST_SECONDS)


async def start_hub(max_streams: int) -> Hub:
    hub = Hub(max_streams)
    hub.watcher = Watcher(hub)
    return hub
