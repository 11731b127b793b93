"""A mapping plugin that runs transformations of RudderStack in Python, unmodified.

The code is a setting, so new code needs no new component. The host reads the files that the settings
name, and fills them into the member `script` of what this plugin gets:

    [plugin]
    path = "transform.wasm"        # this runner
    script = "transform.py"

    [[plugin.settings.mappings]]   # apply to the events that the code returns
    event = "*"
    stream = "events"

All settings but `script` are those of router.py.
"""

import json
import random
import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.mapper import (
    Decision_Deliver,
    Decision_Reject,
    Delivery,
    Event,
    Output,
    Payload_Original,
    Payload_Replaced,
    Reads,
    Setup,
    Target_Declared,
)

from router import UNMAPPED, Router, added, parse_settings
from transformation import PassingEvent, Script, SettingsError

# The instance's settings, ready for use. Each call gets a `Mapper` of its own, so
# what one call keeps for the next is kept here.
router = None
script = None


class Mapper(exports.Mapper):
    """What the component exports: the interface `mapper` of wit/mapping.wit."""

    def configure(self, settings: str) -> Setup:
        global router, script
        # All instances start with the state of the build, also that of random numbers.
        random.seed()
        # So that the host logs a line when it is printed, not when a buffer is full.
        sys.stdout.reconfigure(line_buffering=True)
        try:
            rules = json.loads(settings)
            code = rules.pop("script", None) if isinstance(rules, dict) else None
            script = Script(code)
            router = Router(parse_settings(json.dumps(rules)))
        except (SettingsError, ValueError) as error:
            raise Err(str(error))
        return Setup(router.streams, Reads.TEXT)

    def map_events(self, events: list[Event]) -> list[Output]:
        source = events[0].source if events else ""
        passing = [
            PassingEvent(position, event.text, event.message_type, event.name)
            for position, event in enumerate(events)
        ]
        passing, rejections = script.run(passing, source)
        # A rejection must be the only output of its event.
        reasons = {rejection.position: rejection.reason for rejection in reversed(rejections)}
        outputs = []
        for event in passing:
            streams = router.streams_of(event)
            if not streams and router.unmapped == "dead_letter":
                reasons.setdefault(event.position, UNMAPPED)
            if not streams:
                continue
            payload = payload_of(event)
            outputs += [
                Output(event.position, Decision_Deliver(Delivery(Target_Declared(stream), payload)))
                for stream in streams
            ]
        if reasons:
            outputs = [output for output in outputs if output.input not in reasons]
            outputs += [
                Output(position, Decision_Reject(reason)) for position, reason in reasons.items()
            ]
        return outputs


class Routes(exports.Routes):
    """The interface `routes` of wit/mapping.wit, which the world with the network has, too. The
    code decides the names of its events, so only the streams are known."""

    def routes(self) -> list:
        return []


def payload_of(event: PassingEvent):
    if router.members:
        return Payload_Replaced(added(event.text, router.members).encode())
    if event.is_changed:
        return Payload_Replaced(event.text.encode())
    return Payload_Original()
