"""Tests the runner without WebAssembly: `python3 test_runner.py`."""

import contextlib
import copy
import gzip
import io
import json
import random
import sys
import time
import types
import unittest
from dataclasses import dataclass, make_dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

DIRECTORY = Path(__file__).parent
sys.path[:0] = [str(DIRECTORY), str(DIRECTORY.parent / "python")]


class Err(Exception):
    """Stands for the error of the contract's `result`."""

    def __init__(self, value):
        super().__init__(value)
        self.value = value


@dataclass
class Ok:
    """Stands for the value of the contract's `result`."""

    value: object


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
    exports.Mapper = exports.Routes = object
    web = types.ModuleType("wit_world.imports.web")
    fields = ["method", "url", "headers", "body", "redirects", "timeout_ms"]
    web.Request = make_dataclass("Request", fields)
    web.Response = make_dataclass("Response", ["url", "status", "headers", "body"])
    web.Failure = make_dataclass("Failure", ["kind", "message"])
    kinds = "NOT_ALLOWED INVALID UNRESOLVED REFUSED DISCONNECTED TIMEOUT TOO_LARGE TOO_MANY OTHER"
    web.FailureKind = Enum("FailureKind", kinds)
    web.Redirects = Enum("Redirects", "FOLLOW ERROR MANUAL")
    web.fetch_all = lambda requests: [refuse(request) for request in requests]
    geolocation = types.ModuleType("wit_world.imports.geolocation")
    geolocation.locate = locate
    imports = types.ModuleType("wit_world.imports")
    imports.web, imports.geolocation = web, geolocation
    world = types.ModuleType("wit_world")
    world.exports, world.imports = exports, imports
    errors = types.ModuleType("componentize_py_types")
    errors.Err = Err
    for module in (mapper, exports, web, geolocation, imports, world, errors):
        sys.modules[module.__name__] = module
    return mapper


def refuse(request):
    """What the host answers while it tests a plugin."""
    host = urlsplit(request.url).hostname
    message = f"no request to {host} is sent while the plugin is tested"
    web = sys.modules["wit_world.imports.web"]
    return Err(web.Failure(web.FailureKind.NOT_ALLOWED, message))


def locate(address):
    raise Err("geolocation is not available right now: there is no database")


bindings = define_bindings()
web = sys.modules["wit_world.imports.web"]
real_sleep = time.sleep

import behaviours  # noqa: E402
import requests  # noqa: E402
import event_text  # noqa: E402
import importable  # noqa: E402
import runner  # noqa: E402
import web_requests  # noqa: E402

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


class Requests(unittest.TestCase):
    """What the host gets of requests, and what code gets of its answers."""

    def setUp(self):
        self.sent = []
        self.answers = []
        self.addCleanup(setattr, web, "fetch_all", web.fetch_all)
        web.fetch_all = self.fetch_all

    def fetch_all(self, requests):
        self.sent += requests
        return [Ok(self.answers.pop(0)) for _ in requests]

    def answer(self, status=200, body=b"", **headers):
        pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.answers.append(web.Response("", status, pairs, body))

    def test_a_request_has_method_address_headers_and_body(self):
        self.answer(201, b'{"ok":true}', content_type="application/json")
        response = requests.post(
            "https://api.example.com/a b", params={"q": "ü"}, json={"n": 1}, auth=("u", "p"),
            timeout=(0.5, 2),
        )
        self.assertEqual((response.status_code, response.json()), (201, {"ok": True}))
        self.assertEqual((response.reason, response.ok), ("Created", True))
        [sent] = self.sent
        self.assertEqual((sent.method, sent.body), ("POST", b'{"n": 1}'))
        self.assertEqual(sent.url, "https://api.example.com/a%20b?q=%C3%BC")
        self.assertEqual((sent.redirects, sent.timeout_ms), (web.Redirects.MANUAL, 2500))
        headers = dict(sent.headers)
        self.assertEqual(headers["Authorization"], "Basic dTpw")
        self.assertEqual(headers["Content-Type"], "application/json")

    def test_bodies_of_all_kinds_are_sent_as_bytes(self):
        parts = [({"a": "1 2"}, b"a=1+2"), ("ü", "ü".encode()), (b"\xff", b"\xff"),
                 (io.BytesIO(b"file"), b"file"), (iter([b"a", "b"]), b"ab"), (None, b"")]
        for data, body in parts:
            self.answer()
            requests.put("http://x.example", data=data)
            self.assertEqual(self.sent[-1].body, body)

    def test_redirects_are_requests_of_their_own(self):
        self.answer(302, location="/next", set_cookie="a=1; Path=/")
        self.answer(200, b"end")
        response = requests.post("http://x.example/start", data="body")
        self.assertEqual(response.text, "end")
        self.assertEqual([it.status_code for it in response.history], [302])
        first, second = self.sent
        self.assertEqual((second.method, second.url), ("GET", "http://x.example/next"))
        self.assertEqual((second.body, dict(second.headers)["Cookie"]), (b"", "a=1"))
        self.answer(302, location="/next")
        response = requests.get("http://x.example", allow_redirects=False)
        self.assertEqual(response.status_code, 302)
        for _ in range(31):
            self.answer(302, location="/loop")
        with self.assertRaises(requests.TooManyRedirects):
            requests.get("http://x.example/loop")

    def test_sessions_keep_cookies_and_headers(self):
        with requests.Session() as session:
            session.headers["X-Key"] = "k"
            self.answer(set_cookie="id=7")
            self.answer()
            session.get("http://x.example")
            session.get("http://x.example")
            headers = dict(self.sent[-1].headers)
            self.assertEqual((headers["Cookie"], headers["X-Key"]), ("id=7", "k"))

    def test_compressed_bodies_are_decompressed(self):
        self.answer(body=gzip.compress(b"text"), content_encoding="gzip")
        self.assertEqual(requests.get("http://x.example").text, "text")

    def test_statuses_are_errors_only_on_request(self):
        self.answer(503)
        response = requests.get("http://x.example")
        with self.assertRaises(requests.HTTPError):
            response.raise_for_status()
        self.answer(body=b"no JSON")
        with self.assertRaises(requests.exceptions.JSONDecodeError):
            requests.get("http://x.example").json()

    def test_failures_of_the_host_are_exceptions_of_requests(self):
        expected = {
            "TIMEOUT": requests.Timeout,
            "INVALID": requests.exceptions.InvalidURL,
            "TOO_LARGE": requests.exceptions.ChunkedEncodingError,
            "REFUSED": requests.ConnectionError,
            "NOT_ALLOWED": requests.ConnectionError,
        }
        for kind, error in expected.items():
            failure = web.Failure(web.FailureKind[kind], "the reason")
            web.fetch_all = lambda requests, failure=failure: [Err(failure)]
            with self.subTest(kind), self.assertRaisesRegex(error, "^the reason$"):
                requests.get("http://x.example")

    def test_wrong_timeouts_are_errors(self):
        for timeout in (0, -1, (1, 0)):
            with self.assertRaises(ValueError):
                requests.get("http://x.example", timeout=timeout)
        self.answer()
        requests.get("http://x.example", timeout=(None, None))
        self.assertIsNone(self.sent[-1].timeout_ms)

    def test_places_are_those_of_the_database(self):
        record = {"city": {"names": {"en": "Cologne"}}, "subdivisions": [{"names": {"en": "NRW"}}],
                  "location": {"latitude": 50.9381, "longitude": 6.95}}
        geolocation = sys.modules["wit_world.imports.geolocation"]
        self.addCleanup(setattr, geolocation, "locate", geolocation.locate)
        geolocation.locate = lambda address: json.dumps(record)
        self.assertEqual(web_requests.geolocation("1.2.3.4"), {
            "ip": "1.2.3.4", "city": "Cologne", "country": "", "region": "NRW", "postal": "",
            "timezone": "", "location": "50.938100,6.950000",
        })
        geolocation.locate = lambda address: None
        self.assertEqual(web_requests.geolocation("1.2.3.4")["location"], "")


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
