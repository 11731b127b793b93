"""What transformations of RudderStack in Python do, as cases.

test_runner.py runs them in any Python. For the tests of the component, this file prints them
as JSON: `python3 behaviours.py cases` those with one event as cases for `host plugin test`,
`runs` those with several events as runs of `host run`, and `refused` settings with errors.
"""

import json
import sys
from dataclasses import dataclass, field

TRACK = '{"type":"track","event":"Test Event","messageId":"m-1"}'
SAME = object()
ALL = [{"event": "*", "stream": "all"}]


@dataclass
class Reject:
    """The event is rejected, with a reason that contains the text."""

    text: str


@dataclass
class Case:
    name: str
    code: str
    # For each event: None if it is dropped, SAME, the payload of a delivery, a list of
    # payloads, or Reject.
    expect: list
    events: list = field(default_factory=lambda: [TRACK])
    libraries: dict = field(default_factory=dict)
    credentials: dict = field(default_factory=dict)
    more_files: list = field(default_factory=list)
    rules: dict = field(default_factory=lambda: {"mappings": ALL})
    # The streams of the deliveries, if they are not "all".
    streams: list = None

    def settings(self) -> dict:
        files = [self.code, *self.more_files]
        names = ["transform.py", "second.py"]
        script = {
            "files": [{"name": n, "code": c} for n, c in zip(names, files)],
            "libraries": [{"name": n, "code": c} for n, c in self.libraries.items()],
            "credentials": self.credentials,
        }
        return {"script": script, **self.rules}

    def deliveries(self) -> list:
        """For each event: a list of streams and payloads, or Reject."""
        decisions = []
        for event, expected in zip(self.events, self.expect, strict=True):
            if isinstance(expected, Reject):
                decisions.append(expected)
                continue
            payloads = expected if isinstance(expected, list) else [expected]
            payloads = [event if payload is SAME else payload for payload in payloads]
            payloads = [] if payloads == [None] else payloads
            streams = self.streams or ["all"] * len(payloads)
            decisions.append(list(zip(streams, payloads, strict=True)))
        return decisions


def event(body: str) -> str:
    """A transformation with this body."""
    lines = body.strip("\n").split("\n")
    return "def transformEvent(event, metadata):\n" + "".join(f"    {line}\n" for line in lines)


CASES = [
    Case(
        "an event that comes back without a change is delivered as received",
        event("return event"),
        [SAME],
        [' {"a" : 1.50, "b": "\\u00e9", "a":2e3} '],
    ),
    Case(
        "also if it was changed and changed back",
        event("event['x'] = 1\ndel event['x']\nreturn dict(event)"),
        [SAME],
        ['{"a": 1.50}'],
    ),
    Case(
        "a member is added at the end, and the rest stays as received",
        event("event['foo'] = 'bar'\nreturn event"),
        ['{ "total": 19.90, "list": [ 1e2 ] ,"foo":"bar"}'],
        ['{ "total": 19.90, "list": [ 1e2 ] }'],
    ),
    Case(
        "a changed member keeps the text of its neighbours",
        event("event['a']['n'] = 'x'\nevent['l'][1] = True\nreturn event"),
        ['{"a":{"x":1.50,"n":"x","y":[ ]},"l":[0.10,true,12345678901234567890.0]}'],
        ['{"a":{"x":1.50,"n":1.0,"y":[ ]},"l":[0.10,false,12345678901234567890.0]}'],
    ),
    Case(
        "a number keeps its text when it moves",
        event("event['b'] = {'inner': [event.pop('a')]}\nreturn event"),
        ['{"b":{"inner":[1.50]}}'],
        ['{"a":1.50}'],
    ),
    Case(
        "numbers are ordinary numbers to the code",
        event(
            "a, b, c = event['a'], event['b'], event['c']\n"
            "assert type(a) is float and type(b) is int and type(c) is float\n"
            "return {'sum': a + b + c, 'text': f'{a} {b} {c}'}"
        ),
        ['{"sum":9007199254741094.0,"text":"1.5 9007199254740993 100.0"}'],
        ['{"a":1.50,"b":9007199254740993,"c":1e2}'],
    ),
    Case(
        "escapes and lone surrogates stay valid JSON",
        event("event['n'] = event['s'] + 'ü'\nreturn event"),
        ['{"s":"\\ud800\\u00e9","n":"\\ud800éü"}'],
        ['{"s":"\\ud800\\u00e9"}'],
    ),
    Case("None drops the event", event("return None"), [None]),
    Case("so does no return statement", event("event['x'] = 1"), [None]),
    Case("a list of no events drops the event", event("return []"), [None]),
    Case(
        "a list of events is delivered in its order, also without messageId",
        event("return [{'messageId': 'e-1', 'n': 1}, {'n': 2}, event]"),
        [['{"messageId":"e-1","n":1}', '{"n":2}', TRACK]],
    ),
    Case(
        "a result that is no dict is an error",
        event("return 'text'"),
        [Reject("returned event from transformEvent(event) is not an object")],
    ),
    Case(
        "so is a list with something that is no dict, as a whole",
        event("return [event, 5]"),
        [Reject("returned event in events array from transformEvent(event) is not an object")],
    ),
    Case(
        "an exception is a rejection with type, message, line and function",
        "\n" + event("raise ValueError('intentional')"),
        [Reject("ValueError: intentional (transform.py, line 3, in transformEvent)")],
    ),
    Case(
        "the line is the innermost one of the user's code",
        event("return helper(event)") + "\ndef helper(event):\n    return event['none']\n",
        [Reject("KeyError: 'none' (transform.py, line 5, in helper)")],
    ),
    Case(
        "also of a library's code",
        "import lib\n" + event("return lib.fail()"),
        [Reject("ZeroDivisionError: division by zero (lib.py, line 2, in fail)")],
        libraries={"lib": "def fail():\n    return 1 / 0\n"},
    ),
    Case(
        "long messages are cut",
        event("raise ValueError('x' * 5000)"),
        [Reject("xxx... (transform.py, line 2, in transformEvent)")],
    ),
    Case(
        "an exit of the program is a rejection",
        event("raise SystemExit('bye')"),
        [Reject("SystemExit: bye (transform.py, line 2, in transformEvent)")],
    ),
    Case(
        "an endless recursion is a rejection",
        event("return transformEvent(event, metadata)"),
        [Reject("RecursionError: ")],
    ),
    Case(
        "a value that JSON does not have is a rejection",
        "import datetime\n" + event("event['at'] = datetime.datetime(2024, 1, 2)\nreturn event"),
        [Reject("TypeError: Object of type datetime is not JSON serializable")],
    ),
    Case(
        "so is a number that JSON does not have",
        event("event['n'] = float('nan')\nreturn event"),
        [Reject("ValueError: Out of range float values are not JSON compliant")],
    ),
    Case(
        "tuples become arrays, and keys become strings",
        event("return {'t': (1, 2), 3: 4, None: True}"),
        ['{"t":[1,2],"3":4,"null":true}'],
    ),
    Case(
        "the mappings apply to what the code returns",
        event("return [{'type': 'page'}, {'type': 'track', 'event': 'New'}, {}]"),
        [['{"type":"page"}', '{"type":"track","event":"New"}', "{}"]],
        rules={
            "mappings": [
                {"event": "page", "stream": "pages"},
                {"event": "new", "stream": "news"},
                {"event": "*", "stream": "rest"},
            ]
        },
        streams=["pages", "news", "rest"],
    ),
    Case(
        "fan-out and added members apply, too",
        event("event['n'] = 1\nreturn event"),
        [['{"type":"page","n":1,"env":"p"}', '{"type":"page","n":1,"env":"p"}']],
        ['{"type":"page"}'],
        rules={
            "mappings": [{"event": "page", "stream": "pages"}, *ALL],
            "fan_out": True,
            "add": {"env": "p"},
        },
        streams=["pages", "all"],
    ),
    Case(
        "an event of several outputs is rejected as a whole if one is unmapped",
        event("return [event, {'type': 'page'}]"),
        [Reject("no mapping matches")],
        rules={"mappings": [{"event": "track", "stream": "all"}], "unmapped": "dead_letter"},
    ),
    Case(
        "a changed messageId is delivered",
        event("event['old'] = event['messageId']\nevent['messageId'] = 'new'\nreturn event"),
        ['{"messageId":"new","n":1.0,"old":"m-1"}'],
        ['{"messageId":"m-1","n":1.0}'],
    ),
    Case(
        "metadata has only keys with a value",
        event("return metadata(event)"),
        [
            '{"sourceId":"test","sourceName":"test","destinationType":"FIREHOSE",'
            '"messageId":"m-1","receivedAt":"2024-01-02T03:04:05Z","eventType":"page"}'
        ],
        ['{"type":"page","messageId":"m-1","receivedAt":"2024-01-02T03:04:05Z","rudderId":""}'],
    ),
    Case(
        "metadata is looked up by the messageId at this moment",
        event("event['messageId'] = 'new'\nreturn {'m': metadata(event), 'n': metadata({})}"),
        ['{"m":{},"n":{}}'],
    ),
    Case(
        "metadata is what was received, not what the code has changed",
        event("event['event'] = 'Changed'\nreturn {'m': metadata(event)['eventName']}"),
        ['{"m":"Test Event"}'],
    ),
    Case(
        "getCredential returns credentials, and None for other keys",
        event("return {'c': [getCredential(key) for key in ('key', 'empty', 'x', 1, None, [])]}"),
        ['{"c":["value","",null,null,null,null]}'],
        credentials={"key": "value", "empty": ""},
    ),
    Case(
        "getCredential without a key is an error",
        event("return {'c': getCredential()}"),
        [
            Reject(
                "TypeError: Key should be valid and defined (transform.py, line 2, in transformEvent)"
            )
        ],
    ),
    Case(
        "log and print do not change the result",
        event("log('seen', event, None, 5)\nprint('printed')\nreturn event"),
        [SAME],
    ),
    Case(
        "geolocation takes a single string",
        event(
            "errors = []\n"
            "for arguments in [(), ('1.2.3.4', 'x'), (1,), (None,), (['1.2.3.4'],)]:\n"
            "    try:\n"
            "        geolocation(*arguments)\n"
            "    except Exception as error:\n"
            "        errors.append('single string argument' in str(error))\n"
            "return {'errors': errors}"
        ),
        ['{"errors":[true,true,true,true,true]}'],
    ),
    Case(
        "a failed geolocation passes `except Exception`",
        event("try:\n    geolocation('1.2.3.4')\nexcept Exception:\n    pass\nreturn event"),
        [Reject("GeolocationServerError: geolocation is not available right now")],
    ),
    Case(
        "geolocation checks the address",
        event("geolocation('1.2.3')"),
        [Reject("ValueError: invalid ip address")],
    ),
    Case(
        "no request is sent in a test, and it fails as without a connection",
        "import requests\n"
        + event("try:\n"
                "    requests.post('https://api.example.com/x?key=1', {}, {'a': 1}, timeout=1)\n"
                "except requests.exceptions.ConnectionError as error:\n"
                "    return {'caught': isinstance(error, requests.RequestException)}"),
        ['{"caught":true}'],
    ),
    Case(
        "an error of requests names the host alone",
        "from requests.api import get\n" + event("get('https://api.example.com/x?key=1')"),
        [Reject("ConnectionError: no request to api.example.com is sent while the plugin is")],
    ),
    Case(
        "requests checks addresses first",
        "import requests\n" + event("requests.get('example')"),
        [Reject("MissingSchema: Invalid URL 'example': No scheme supplied.")],
    ),
    Case(
        "sessions of requests have headers and adapters",
        "import requests\nfrom requests.adapters import HTTPAdapter\n"
        + event("with requests.Session() as session:\n"
                "    session.mount('https://', HTTPAdapter(max_retries=1))\n"
                "    session.headers.update({'Accept': 'x'})\n"
                "    event['accept'] = session.headers['accept']\n"
                "    try:\n"
                "        session.get('https://example.com')\n"
                "    except (requests.Timeout, requests.ConnectionError):\n"
                "        return event"),
        [TRACK[:-1] + ',"accept":"x"}'],
    ),
    Case(
        "libraries are imported by their names",
        "import mathHelper\nfrom text import *\n"
        + event("return {'n': mathHelper.double(2), 'up': shout('a')}"),
        ['{"n":4,"up":"A!"}'],
        libraries={
            "Math Helper": "def double(x):\n    return x * 2\n",
            "lib/text.py": "def shout(x):\n    return x.upper() + '!'\n",
        },
    ),
    Case(
        "a library can import another one",
        "import liba\n" + event("return {'n': liba.libb.double(3)}"),
        ['{"n":6}'],
        libraries={"liba": "import libb", "libb": "def double(x):\n    return x * 2"},
    ),
    Case(
        "libraries use credentials and log, too",
        "from lib import key\n" + event("return {'key': key()}"),
        ['{"key":"value"}'],
        libraries={"lib": "def key():\n    return getCredential('key')"},
        credentials={"key": "value"},
    ),
    Case(
        "other modules cannot be imported",
        event("import os\nreturn event"),
        [Reject("ImportError: Import of 'os' is not allowed. (transform.py, line 2")],
    ),
    Case(
        "nor can some of a package's modules",
        "import urllib.parse\n"
        + event("log(urllib.parse.quote('a b'))\nfrom urllib.request import urlopen\nreturn event"),
        [Reject("ImportError: Import of 'urllib.request' is not allowed.")],
    ),
    Case(
        "nor modules of modules",
        event("from json import codecs\nreturn event"),
        [
            Reject(
                "Importing 'codecs' from 'json' is not allowed: it resolves to the "
                "non-importable module 'codecs'."
            )
        ],
    ),
    Case(
        "relative imports are not possible",
        event("from . import helper\nreturn event"),
        [Reject("ImportError: Relative imports are not allowed.")],
    ),
    Case(
        "getattr is withdrawn",
        event("return {'v': getattr(event, 'x', None)}"),
        [Reject("NotImplementedError: getattr() is not supported in transformations")],
    ),
    Case(
        "there are no functions for files and for code in strings",
        event(
            "missing = []\n"
            "for call in (lambda: open('x'), lambda: eval('1'), lambda: exec('1')):\n"
            "    try:\n"
            "        call()\n"
            "    except NameError as error:\n"
            "        missing.append(str(error).split()[1])\n"
            "return {'missing': missing}"
        ),
        ['{"missing":["\'open\'","\'eval\'","\'exec\'"]}'],
    ),
    Case(
        "waiting is an error and no trap",
        "import time\n" + event("time.sleep(0.1)\nreturn event"),
        [Reject("RuntimeError: time.sleep() is not possible")],
    ),
    Case(
        "the usual modules work",
        "import base64, collections, copy, hashlib, hmac, itertools, json, math, random, re\n"
        "import string, time, uuid\n"
        "from datetime import datetime, timedelta, timezone\n"
        "from decimal import Decimal\n"
        "from functools import reduce\n"
        "from typing import Any, Dict\n"
        "from urllib.parse import parse_qs, quote, urlparse\n"
        + event(
            "at = datetime.strptime('2024-01-02 03:04:05', '%Y-%m-%d %H:%M:%S')\n"
            "at = at.replace(tzinfo=timezone.utc) + timedelta(days=1)\n"
            "assert 0 <= random.random() < 1 and len(str(uuid.uuid4())) == 36\n"
            "assert time.time() > 1.7e9 and copy.deepcopy(event) == event\n"
            "return {\n"
            "    'at': at.isoformat(),\n"
            "    'sha': hashlib.sha256(b'a').hexdigest()[:8],\n"
            "    'md5': hashlib.md5(b'a').hexdigest()[:8],\n"
            "    'hmac': hmac.new(b'k', b'm', hashlib.sha256).hexdigest()[:8],\n"
            "    'b64': base64.b64encode('ä'.encode()).decode(),\n"
            "    're': re.sub(r'\\d+', '#', 'a1b22'),\n"
            "    'path': urlparse('https://x.io/p?q=1').path,\n"
            "    'query': parse_qs('a=1&a=2'),\n"
            "    'quoted': quote('a b/c?'),\n"
            "    'decimal': str(Decimal('0.1') + Decimal('0.2')),\n"
            "    'count': collections.Counter('aab'),\n"
            "    'sum': reduce(lambda a, b: a + b, itertools.chain([1], [2])),\n"
            "    'floor': math.floor(2.5),\n"
            "    'json': json.dumps({'a': [1]}),\n"
            "    'digits': string.digits,\n"
            "    'idna': 'bücher.de'.encode('idna').decode(),\n"
            "    'uuid5': str(uuid.uuid5(uuid.NAMESPACE_DNS, 'a'))[:8],\n"
            "}"
        ),
        [
            '{"at":"2024-01-03T03:04:05+00:00","sha":"ca978112","md5":"0cc175b9",'
            '"hmac":"b60090e3","b64":"w6Q=","re":"a#b#","path":"/p","query":{"a":["1","2"]},'
            '"quoted":"a%20b/c%3F","decimal":"0.3","count":{"a":2,"b":1},"sum":3,"floor":2,'
            '"json":"{\\"a\\": [1]}","digits":"0123456789","idna":"xn--bcher-kva.de",'
            '"uuid5":"4f3f2898"}'
        ],
    ),
    Case(
        "classes, dataclasses, generators and decorators work",
        "from dataclasses import asdict, dataclass\nfrom enum import Enum\n"
        "class Color(Enum):\n    RED = 'red'\n"
        "@dataclass\nclass Point:\n    x: int\n    y: int = 2\n"
        + event("return {'p': asdict(Point(1)), 'c': Color.RED.value, 'l': [*map(str, range(2))]}"),
        ['{"p":{"x":1,"y":2},"c":"red","l":["0","1"]}'],
    ),
    Case(
        "modules can be reached through modules",
        "import base64\nimport requests\n"
        + event("return {'ok': callable(base64.struct.pack) "
                "and issubclass(requests.exceptions.HTTPError, Exception)}"),
        ['{"ok":true}'],
    ),
    Case(
        "an event passes all files in their order",
        event("event['n'] = 1.0\nreturn [event, {'drop': True}]"),
        ['{"a":0.10,"n":1.0,"seen":[1.0]}'],
        ['{"a":0.10}'],
        more_files=[event("if 'drop' in event:\n    return\nevent['seen'] = [event['n']]\nreturn event")],
    ),
    Case(
        "transformBatch gets and returns a list",
        "def transformBatch(events, metadata):\n"
        "    return [dict(event, n=len(events), id=metadata(event)['messageId']) for event in events]\n",
        [
            '{"messageId":"a","x":1.0,"n":2,"id":"a"}',
            '{"messageId":"b","n":2,"id":"b"}',
        ],
        ['{"messageId":"a","x":1.0}', '{"messageId":"b"}'],
    ),
    Case(
        "a batch that comes back without a change is delivered as received",
        "def transformBatch(events, metadata):\n    return events\n",
        [SAME, SAME],
        ['{"a":1.50}', '{ "b": 2 }'],
    ),
    Case(
        "an event that does not come back with its batch is dropped",
        "def transformBatch(events, metadata):\n"
        "    return [e for e in events if e.get('messageId') != 'b']\n",
        [SAME, None, SAME],
        ['{"messageId":"a"}', '{"messageId":"b"}', '{"messageId":"c"}'],
    ),
    Case(
        "an exception of a batch rejects all of its events",
        "def transformBatch(events, metadata):\n    raise ValueError('intentional')\n",
        [Reject("ValueError: intentional (transform.py, line 2, in transformBatch)")] * 3,
        ['{"messageId":"a"}', '{"messageId":"b"}', '{}'],
    ),
    Case(
        "a batch without a list is an error",
        "def transformBatch(events, metadata):\n    return None\n",
        [Reject("returned events from transformBatch(event) is not an array")] * 2,
        [TRACK, TRACK],
    ),
    Case(
        "events of a batch can be expanded",
        "def transformBatch(events, metadata):\n"
        "    return [dict(e, event=name) for e in events for name in ('Click', 'View')]\n",
        [
            ['{"messageId":"a","event":"Click"}', '{"messageId":"a","event":"View"}'],
            ['{"messageId":"b","event":"Click"}', '{"messageId":"b","event":"View"}'],
        ],
        ['{"messageId":"a"}', '{"messageId":"b"}'],
    ),
    Case(
        "an unknown messageId in a batch rejects all of its events",
        "def transformBatch(events, metadata):\n"
        "    return [dict(e, messageId='new') for e in events]\n",
        [Reject("KeyError: 'new': transformBatch(events) returned an event with a messageId")] * 2,
        ['{"messageId":"a"}', '{"messageId":"b"}'],
    ),
    Case(
        "the error of a result that is no dict goes to an event that did not come back",
        "def transformBatch(events, metadata):\n    return [events[0], 'text']\n",
        [
            SAME,
            Reject("returned event in events array from transformBatch(events) is not an object"),
        ],
        ['{"messageId":"a"}', '{"messageId":"b"}'],
    ),
    Case(
        "numbers keep their text when they move from event to event",
        "def transformBatch(events, metadata):\n"
        "    events[1]['n'] = events[0]['n']\n    return events\n",
        [SAME, '{"messageId":"b","n":1.50}'],
        ['{"messageId":"a","n":1.50}', '{"messageId":"b"}'],
    ),
    Case(
        "events with the same messageId, or none, keep their own contents",
        "def transformBatch(events, metadata):\n    return events[::-1]\n",
        [SAME, SAME, SAME, SAME],
        ['{"messageId":"a","n":1.0}', '{"messageId":"a"}', '{"n":2.0}', '{"n":3.0}'],
    ),
    Case(
        "a batch gets credentials",
        "def transformBatch(events, metadata):\n"
        "    return [dict(e, c=getCredential('key')) for e in events]\n",
        ['{"messageId":"a","c":"v"}', '{"messageId":"b","c":"v"}'],
        ['{"messageId":"a"}', '{"messageId":"b"}'],
        credentials={"key": "v"},
    ),
    Case(
        "an error of one event leaves the other events alone",
        event("if event['n'] == 2:\n    return 'text'\nevent['ok'] = True\nreturn event"),
        [
            '{"n":1,"ok":true}',
            Reject("returned event from transformEvent(event) is not an object"),
            '{"n":3,"ok":true}',
        ],
        ['{"n":1}', '{"n":2}', '{"n":3}'],
    ),
]

# Code and settings that are refused when they are read, with a part of the error.
REFUSED = [
    ({"files": [{"name": "t.py", "code": "def transformEvent(event, metadata)\n    return event"}]},
     "SyntaxError: expected ':' (t.py, line 1)"),
    ({"files": [{"name": "t.py", "code": event("event['a'] = 1") + "\treturn event\n"}]},
     "TabError: inconsistent use of tabs and spaces in indentation (t.py, line 3)"),
    ({"files": [{"name": "t.py", "code": "def transform(event):\n    return event"}]},
     "Expected one of transformEvent,transformBatch. Found "),
    ({"files": [{"name": "t.py", "code": "transformEvent = transformBatch = lambda a, b: a"}]},
     "Expected one of transformEvent,transformBatch. Found transformEvent,transformBatch"),
    ({"files": [{"name": "t.py", "code": "import os\n" + event("return event")}]},
     "ImportError: Import of 'os' is not allowed. (t.py, line 1)"),
    ({"files": [{"name": "t.py", "code": "x = {}['none']\n" + event("return event")}]},
     "KeyError: 'none' (t.py, line 1)"),
    ({"files": [{"name": "t.py", "code": event("return (x for x in []).gi_frame")}]},
     '"gi_frame" is a restricted name'),
    ({"files": [{"name": "t.py", "code": event("return {'v': str(event.__getattr__)}")}]},
     "Accessing '__getattr__' is not allowed"),
    ({"files": [{"name": "t.py", "code": event("return event")}],
      "libraries": [{"name": "lib", "code": "def f(\n"}]},
     "SyntaxError: '(' was never closed (lib.py, line 1)"),
    ({"files": []}, "`script` has no files"),
    ({"files": [{"name": "t.py"}]}, "table 1 of `files` must have `name` and `code`"),
    ({"files": [{"name": "t.py", "code": ""}], "x": 1}, "`script` has the unknown key 'x'"),
    ({"files": [{"name": "t.py", "code": ""}], "dialect": "segment"}, "the dialect 'segment'"),
    (None, "`script` is missing"),
]


def plugin_test_cases() -> dict:
    cases = []
    for case in CASES:
        [decision, *others] = case.deliveries()
        if others:
            continue
        if isinstance(decision, Reject):
            expect = {"reject": decision.text}
        else:
            expect = [{"stream": stream, "payload": payload} for stream, payload in decision]
        settings = case.settings()
        cases.append(
            {"name": case.name, "settings": settings, "event": case.events[0], "expect": expect}
        )
    return {"cases": cases}


def runs() -> list:
    """For each case with several events: the file of settings, the events, the lines that are
    delivered, and the reasons of dead letters by the lines of their events."""
    runs = []
    for case in CASES:
        if len(case.events) < 2:
            continue
        decisions = case.deliveries()
        rejected = [
            [line, decision.text]
            for line, decision in enumerate(decisions, 1)
            if isinstance(decision, Reject)
        ]
        delivered = [
            payload
            for decision in decisions
            if not isinstance(decision, Reject)
            for _, payload in decision
        ]
        runs.append(
            {
                "name": case.name,
                "settings": f"[plugin]\nsettings = {to_toml(case.settings())}\n",
                "events": "".join(f"{text}\n" for text in case.events),
                "delivered": delivered,
                "rejected": rejected,
            }
        )
    return runs


def to_toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {to_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    # Strings, numbers and booleans are the same in both.
    return json.dumps(value)


def refused() -> list:
    return [
        [{"mappings": ALL} if script is None else {"mappings": ALL, "script": script}, text]
        for script, text in REFUSED
    ]


if __name__ == "__main__":
    print(json.dumps({"cases": plugin_test_cases, "runs": runs, "refused": refused}[sys.argv[1]]()))
