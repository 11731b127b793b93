"""Loaded when Python starts: a line `contacted: HOST` on standard error for each host
that is looked up or connected to. Only this machine can be reached.
"""

import sys


def watch(event, arguments):
    """See what is done with the network."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    print(f"contacted: {host}", file=sys.stderr, flush=True)
    if host not in ("127.0.0.1", "localhost"):
        raise OSError(f"{host} cannot be reached")


sys.addaudithook(watch)
