"""Sends one call of each kind with segment-analytics-python or rudder-sdk-python,
which have the same interface.

send.py MODULE [gzip]: what to import (`segment` or `rudderstack`), and whether to
ask for compression where it is not the default.

Prints what each event must have as a line of JSON. Exits with 0 if the SDK has
reported no failure, and with 3 if it has.
"""

import importlib
import json
import os
import sys

DETAILS = {
    "big": 123456789012345678901234567890,
    "nested": {"Ünï": ["日本", {"🦀": True}], "none": None},
}

module = sys.argv[1]
failures = []
client = importlib.import_module(f"{module}.analytics.client").Client(
    os.environ["WRITE_KEY"],
    host=os.environ["COLLECTOR"],
    on_error=lambda error, _events: failures.append(error),
    **({"gzip": True} if "gzip" in sys.argv[2:] else {}),
)


NAMES = {
    "user_id": "userId",
    "anonymous_id": "anonymousId",
    "group_id": "groupId",
    "previous_id": "previousId",
    "message_id": "messageId",
}


def send(kind, **arguments):
    """Make a call."""
    arguments["message_id"] = f"message-{kind}"
    getattr(client, kind)(**arguments)
    fields = {NAMES.get(name, name): value for name, value in arguments.items()}
    if (module, kind) == ("rudderstack", "identify"):
        # As the SDK has it.
        fields["context"] = {"traits": fields.pop("traits")}
    print(json.dumps({"type": kind, **fields}))


who = {"user_id": "user-π", "anonymous_id": "anonymous-1"}
view = {"name": "Über uns", "category": "About", "properties": DETAILS}
send("identify", **who, traits=DETAILS)
send("track", **who, event="Order Completed", properties=DETAILS)
send("page", **who, **view)
send("screen", **who, **view)
send("group", **who, group_id="group-1", traits=DETAILS)
send("alias", user_id="user-π", previous_id="before")

client.shutdown()
for failure in failures:
    print(f"failed: {failure}", file=sys.stderr)
sys.exit(3 if failures else 0)
