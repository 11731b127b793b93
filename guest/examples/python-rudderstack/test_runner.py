"""Tests the runner without WebAssembly: `python3 test_runner.py`."""

import contextlib
import copy
import io
import json
import random
import sys
import time
import types
import unittest
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent
sys.path[:0] = [str(DIRECTORY), str(DIRECTORY.parent / "python")]


class Err(Exception):
    """Stands for the error of the contract's `result`."""

    def __init__(self, value):
        super().__init__(value)
        self.value = value


@dataclass
class Event:
    message_type: str
    name: str
    source: str
    text: str


def define_bindings():
    """Stands for the modules that componentize-py generates."""

    def define(name, fields):
        def assign(self, *values):
            for field, value in zip(fields, values, strict=True):
                setattr(self, field, value)

        return type(name, (), {"__init__": assign})

    records = {
        "Decision_Deliver": ["value"],
        "Decision_Reject": ["value"],
        "Delivery": ["target", "payload"],
        "Output": ["input", "decision"],
        "Payload_Original": [],
        "Payload_Replaced": ["value"],
        "Setup": ["streams", "reads"],
        "Target_Declared": ["value"],
    }
    mapper = types.ModuleType("wit_world.exports.mapper")
    for name, fields in records.items():
        setattr(mapper, name, define(name, fields))
    mapper.Event = Event
    mapper.Reads = types.SimpleNamespace(KIND="kind", TEXT="text")
    exports = types.ModuleType("wit_world.exports")
    exports.Mapper = object
    world = types.ModuleType("wit_world")
    world.exports = exports
    errors = types.ModuleType("componentize_py_types")
    errors.Err = Err
    for module in (mapper, exports, world, errors):
        sys.modules[module.__name__] = module
    return mapper


bindings = define_bindings()
real_sleep = time.sleep

import behaviours  # noqa: E402
import event_text  # noqa: E402
import importable  # noqa: E402
import runner  # noqa: E402

# The runner withdraws it, and the tests share the interpreter with the runner.
time.sleep = real_sleep


def run(settings: dict, texts: list) -> list:
    """For each event: a list of streams and payloads, or the reason of a rejection."""
    streams = runner.Mapper().configure(json.dumps(settings)).streams
    return map_events(streams, texts)


def map_events(streams: list, texts: list) -> list:
    events = []
    for text in texts:
        value = json.loads(text)
        kind = [value.get(key) or None for key in ("type", "event")]
        events.append(Event(*kind, "test", text))
    decisions = [[] for _ in texts]
    for output in runner.Mapper().map_events(events):
        decision = output.decision
        if isinstance(decision, bindings.Decision_Reject):
            assert decisions[output.input] == [], "a rejection is the only output"
            decisions[output.input] = decision.value
            continue
        payload = decision.value.payload
        if isinstance(payload, bindings.Payload_Original):
            payload = texts[output.input]
        else:
            payload = payload.value.decode()
        decisions[output.input].append((streams[decision.value.target.value], payload))
    return decisions


class Behaviours(unittest.TestCase):
    def test_cases(self):
        for case in behaviours.CASES:
            with self.subTest(case.name), contextlib.redirect_stdout(Output()):
                time.sleep = importable.sleep
                try:
                    decisions = run(case.settings(), case.events)
                finally:
                    time.sleep = real_sleep
                for decision, expected in zip(decisions, case.deliveries(), strict=True):
                    if isinstance(expected, behaviours.Reject):
                        self.assertIn(expected.text, decision)
                    else:
                        self.assertEqual(decision, expected)

    def test_refused_settings(self):
        for settings, text in behaviours.refused():
            with self.subTest(text), self.assertRaises(Err) as raised:
                with contextlib.redirect_stdout(Output()):
                    runner.Mapper().configure(json.dumps(settings))
            self.assertIn(text, raised.exception.value)

    def test_names_of_cases_are_unique(self):
        names = [case.name for case in behaviours.CASES]
        self.assertEqual(len(names), len(set(names)))

    def test_global_variables_live_as_long_as_a_batch(self):
        code = "count = 0\n" + behaviours.event(
            "global count\ncount += 1\nevent['n'] = count\nreturn event"
        )
        for lifetime, counts in [("fresh", [1, 2]), ("keep", [3, 4])]:
            script = {"files": [{"name": "t.py", "code": code}], "globals": lifetime}
            with contextlib.redirect_stdout(Output()):
                run({"script": script, "mappings": behaviours.ALL}, ["{}", "{}"])
            decisions = map_events(["all"], ["{}", "{}"])
            expected = [[("all", f'{{"n":{count}}}')] for count in counts]
            self.assertEqual(decisions, expected)

    def test_log_prints_values_as_json(self):
        code = behaviours.event("log('seen', {'a': [1]}, None, 1.5)")
        script = {"files": [{"name": "t.py", "code": code}]}
        with contextlib.redirect_stdout(Output()) as printed:
            run({"script": script, "mappings": behaviours.ALL}, ["{}"])
        self.assertEqual(printed.getvalue(), 'Log: seen {"a": [1]} null 1.5\n')


class PrintedEvents(unittest.TestCase):
    """Changes random events at random: the text is always that of the changed value, and
    what did not change keeps its text."""

    ROUNDS = 5_000
    NUMBERS = ["0", "-0", "1", "1.0", "1.50", "1e3", "-0.0", "12345678901234567890", "1e400"]
    STRINGS = ['"a"', '"b"', '"\\u00e9"', '"c\\n"', '"\\ud800"', '"ü"', '""']
    NEW = [1, 1.0, True, 0.0, -0.0, "x", "\ud800é", None, [1], {"a": 1}, {}, []]

    def setUp(self):
        self.random = random.Random(1)

    def test_random_changes(self):
        changed = 0
        for _ in range(self.ROUNDS):
            text = self.spaced(self.create_object(3))
            event_text.number_texts.clear()
            received = event_text.ReceivedEvent(text)
            before = repr(received.value)
            for _ in range(self.random.randrange(4)):
                self.change(self.random.choice(list(containers(received.value))))
            try:
                printed = received.changed_text(received.value)
            except ValueError as error:
                # An infinite number in an array that has become another one.
                self.assertIn("Out of range float", str(error))
                continue
            if printed is None:
                self.assertEqual(repr(received.value), before)
                continue
            changed += 1
            printed.encode()
            self.assertEqual(repr(json.loads(printed)), repr(received.value), text)
        self.assertGreater(changed, self.ROUNDS // 2)

    def create_value(self, depth):
        kind = self.random.random()
        if depth == 0 or kind < 0.4:
            return self.random.choice([*self.NUMBERS, *self.STRINGS, "true", "false", "null"])
        if kind < 0.7:
            return self.create_object(depth)
        elements = [self.spaced(self.create_value(depth - 1)) for _ in range(self.count())]
        return "[" + ",".join(elements) + "]"

    def create_object(self, depth):
        def member():
            key = self.spaced(self.random.choice(self.STRINGS))
            return f"{key}:{self.spaced(self.create_value(depth - 1))}"

        return "{" + ",".join(member() for _ in range(self.count())) + "}"

    def count(self):
        return self.random.randrange(4)

    def spaced(self, text):
        return self.random.choice(["", " ", "\n"]) + text + self.random.choice(["", "", "\t "])

    def change(self, container):
        value = copy.deepcopy(self.random.choice(self.NEW))
        keys = list(container if isinstance(container, dict) else range(len(container)))
        if keys and self.random.random() < 0.3:
            container.pop(self.random.choice(keys))
        elif keys and self.random.random() < 0.5:
            container[self.random.choice(keys)] = value
        elif isinstance(container, dict):
            container["new"] = value
        else:
            container.insert(self.random.choice([0, *keys]), value)


def containers(value):
    yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, (dict, list)):
            yield from containers(item)


class Output(io.StringIO):
    def reconfigure(self, **options):
        pass


if __name__ == "__main__":
    unittest.main()
