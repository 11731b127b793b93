"""A mapping plugin that routes events by name and type, as the built-in plugin
does, and can add members to what it delivers.

    [[plugin.settings.mappings]]
    event = "Order Completed"   # an event's name, or its type, or "*"
    stream = "orders"

    [plugin.settings.add]
    environment = "production"  # each event gets "environment":"production"
"""

# What is imported here becomes a part of the component. At run time there are no files to
# import from: an `import` inside a function traps, also one in the standard library, such
# as that of `_strptime` by `datetime.strptime`. Import such modules here, too.
import json
import string

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

UNMAPPED = "no mapping matches the event's name or type, and there is no mapping for *"
ANY = "*"
NAME_CHARACTERS = set(string.ascii_letters + string.digits + "_.-")


# The instance's settings, ready for use. Each call gets a `Mapper` of its own, so
# what one call keeps for the next is kept here.
router = None


class Mapper(exports.Mapper):
    """What the component exports: the interface `mapper` of wit/mapping.wit."""

    # The host calls it once, before anything else. Raising `Err` is the error of
    # the contract's `result`.
    def configure(self, settings: str) -> Setup:
        global router
        try:
            router = Router(parse_settings(settings))
        except ValueError as error:
            raise Err(str(error))
        # By name and type alone, the host asks once for all events that are alike.
        reads = Reads.TEXT if router.members else Reads.KIND
        return Setup(router.streams, reads)

    def map_events(self, events: list[Event]) -> list[Output]:
        return [
            Output(index, decision)
            for index, event in enumerate(events)
            for decision in router.decide(event)
        ]


class Row:
    """What the rows of one event say."""

    def __init__(self):
        # The stream of the last row; none if it is empty there.
        self.last = None
        # The streams of all rows, each once.
        self.all = []


class Router:
    """The settings, ready for use."""

    def __init__(self, settings: dict):
        self.fan_out = settings["fan_out"]
        self.unmapped = settings["unmapped"]
        self.members = settings["members"]
        self.streams = []
        # By their event, in lower case.
        self.rows = {}
        for number, event, stream in settings["rows"]:
            row = self.rows.setdefault(event.lower(), Row())
            row.last = None
            if not stream:
                continue
            check_name(stream, f"mapping {number} ({quoted(event)})")
            if stream not in self.streams:
                self.streams.append(stream)
            row.last = self.streams.index(stream)
            if row.last not in row.all:
                row.all.append(row.last)

    def decide(self, event: Event) -> list:
        streams = self.streams_of(event)
        if not streams and self.unmapped == "dead_letter":
            return [Decision_Reject(UNMAPPED)]
        if not streams or not self.members:
            payload = Payload_Original()
        else:
            payload = Payload_Replaced(added(event.text, self.members).encode())
        return [Decision_Deliver(Delivery(Target_Declared(stream), payload)) for stream in streams]

    def streams_of(self, event: Event) -> list[int]:
        """Where an event goes: by its name, else its type, else `*`; with
        `fan_out` by all three, to each stream once."""
        streams = []
        for word in (event.name, event.message_type, ANY):
            row = None if word is None else self.rows.get(word.lower())
            if row is None:
                continue
            if self.fan_out:
                streams += [stream for stream in row.all if stream not in streams]
            elif row.last is not None:
                return [row.last]
        return streams


def added(event: str, members: str) -> str:
    """The text of an event, which is one JSON object, with these members at its
    end. It is spliced, not parsed: number text, escapes and the order of keys stay
    as they came. Where a key is there twice, most readers take the last one."""
    end = event.rindex("}")
    before = event[:end]
    comma = "" if before.rstrip().endswith("{") else ","
    return before + comma + members + event[end:]


def check_name(name: str, place: str):
    if len(name) > 64:
        raise ValueError(
            f"{place}: the stream name {quoted(name)} has {len(name)} characters: Firehose takes 1 to 64"
        )
    for character in name:
        if character not in NAME_CHARACTERS:
            raise ValueError(
                f"{place}: the stream name {quoted(name)} contains '{character}': "
                "Firehose takes letters a-z and A-Z, digits, and _ . -"
            )


def parse_settings(text: str) -> dict:
    """The settings, checked. Errors are for operators: they say which setting is
    wrong, and what to write."""
    try:
        raw = json.loads(text)
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raise wrong("they must be a JSON object")
    known = ["mappings", "fan_out", "unmapped", "add"]
    for unknown in sorted(raw.keys() - known):
        raise wrong(f"the key {quoted(unknown)} is unknown: there are {', '.join(known)}")
    fan_out = raw.get("fan_out", False)
    if not isinstance(fan_out, bool):
        raise wrong("`fan_out` must be true or false")
    unmapped = raw.get("unmapped", "filter")
    if unmapped not in ("filter", "dead_letter"):
        raise wrong('`unmapped` must be "filter" or "dead_letter"')
    add = raw.get("add", {})
    if not isinstance(add, dict):
        raise wrong("`add` must be an object of strings")
    members = members_of(add)
    mappings = raw.get("mappings", [])
    if not isinstance(mappings, list):
        raise wrong("`mappings` must be an array of tables")
    rows = [parse_row(number, row) for number, row in enumerate(mappings, 1)]
    rows = [row for row in rows if row is not None]
    if all(stream == "" for _, _, stream in rows):
        raise ValueError(
            "no mapping names both an event and a stream: add `[[plugin.settings.mappings]]` with `event` "
            "and `stream`, or give `--map EVENT=STREAM` (`*` matches every event)"
        )
    return {"rows": rows, "fan_out": fan_out, "unmapped": unmapped, "members": members}


def parse_row(number: int, row):
    """None for a row that can match nothing."""
    if not isinstance(row, dict):
        raise ValueError(
            f'mapping {number} is not a table: write `event = "..."` and `stream = "..."`'
        )
    for unknown in sorted(row.keys() - {"event", "stream"}):
        raise ValueError(
            f"mapping {number} has the unknown key {quoted(unknown)}: a mapping has `event` and `stream`"
        )
    stream = row.get("stream")
    if stream is None:
        stream = ""
    if not isinstance(stream, str):
        raise ValueError(
            f"mapping {number}: `stream` must be a string, the name of a delivery stream"
        )
    event = row.get("event")
    return (number, event, stream) if isinstance(event, str) and event else None


def members_of(add: dict) -> str:
    """Members as JSON text with commas between them, in the order of their code
    points, whatever the order in the settings."""
    for key in sorted(add):
        if not isinstance(add[key], str):
            raise wrong(f"`add` must hold strings, and {quoted(key)} is not a string")
    return ",".join(sorted(f"{quoted(key)}:{quoted(value)}" for key, value in add.items()))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def wrong(message: str) -> ValueError:
    return ValueError(f"the mapping plugin's settings are wrong: {message}")
