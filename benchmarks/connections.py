"""`python -m benchmarks.connections`: how evenly the workers accept connections.

Opens sets of 8 kept-alive connections, as a proxy in front would, and measures the cached message
list on each set.
"""

from statistics import median

from benchmarks.__main__ import get_parser, prepare
from benchmarks.load import Connection, run
from benchmarks.server import CONNECTIONS, Server

SETS = 14


def main():
    parser = get_parser("benchmarks.connections", __doc__)
    parser.add_argument("--seconds", type=float, default=1, help="how long each set is measured")
    parser.add_argument(
        "--shared-socket",
        action="store_true",
        help="let the workers accept from one socket, as without reuse_port",
    )
    options = parser.parse_args()
    url = prepare(options)
    from benchmarks.operations import get_headlines

    with Server(url, options.shared_socket) as server:
        cached = get_headlines()[0]
        figures = []
        for _ in range(SETS):
            connections = [Connection(server.port) for _ in range(CONNECTIONS)]
            load = run(connections, cached.get_requests(server), options.seconds)
            figures.append(round(load.per_second))
    figures.sort()
    print(f"{cached.name}, requests per second of {SETS} sets:", *figures)
    print(f"worst {figures[0]}, median {median(figures):.0f}")


if __name__ == "__main__":
    main()
