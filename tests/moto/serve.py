"""Amazon's API from moto, on a free port of loopback, for as long as standard input is open.

Prints the port. The tests hold standard input open, and the kernel closes it
with them, however they end: no server is left behind.
"""

import os
import sys
import tempfile

directory = tempfile.TemporaryDirectory()
# Read by moto when it is imported.
os.environ["MOTO_RECORDER_FILEPATH"] = os.path.join(directory.name, "recording")

from moto.firehose.models import DeliveryStream
from moto.server import ThreadedMotoServer

# What an account had in a region long ago.
DeliveryStream.MAX_STREAMS_PER_REGION = 5000

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
directory.cleanup()
# The server's threads would go on.
os._exit(0)
