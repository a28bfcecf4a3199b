"""`python -m benchmarks.standby`: what a synchronous standby adds to the time of a send.

Starts the cluster of the tests, on this machine. One person sends, round by round with and without
waiting for the standby.
"""

import os
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from benchmarks.erase import set_up

ROUNDS = 10
SENDS = 100
SETTINGS = {"with the standby": "standby", "without": ""}


def main():
    os.environ["SECRET_KEY"] = "only-for-benchmarks-" + "0" * 40
    set_up()
    from chats.tests.support.cluster import Cluster

    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), is_pooled=False)
        try:
            seconds = measure(cluster)
        finally:
            cluster.remove()
    for name, values in seconds.items():
        median, *_, last = statistics.quantiles(values, n=100)[49::49]
        print(f"{name}: median {1000 * median:.1f} ms, 99th percentile {1000 * last:.1f} ms")


def measure(cluster):
    alice, bob = cluster.sign_up("alice"), cluster.sign_up("bob")
    conversation_id = alice.start(bob).json()["conversation_id"]
    seconds = {name: [] for name in SETTINGS}
    for _ in range(ROUNDS):
        for name, standby in SETTINGS.items():
            cluster.wait_for_standby(standby)
            for _ in range(SENDS):
                begin = perf_counter()
                response = alice.send(conversation_id, "Hello")
                seconds[name].append(perf_counter() - begin)
                response.raise_for_status()
    return seconds


if __name__ == "__main__":
    main()
