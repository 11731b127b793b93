"""What others find wrong in an OpenAPI document, and in answers that it describes.

Standard input is JSON: {"document": ..., "answers": [{"method", "path", "status", "content_type", "body"}]}.
Prints a JSON array of what is wrong.
"""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator


def wrong_in(document, answer):
    """`body` is None where the answer has no body, and text where it is not JSON."""
    path, method, status = answer["path"], answer["method"].lower(), str(answer["status"])
    responses = document["paths"].get(path, {}).get(method, {}).get("responses", {})
    if status not in responses:
        return [f"{method} {path} answers {status}, which the document does not describe"]
    content = responses[status].get("content", {})
    if answer["body"] is None:
        return [f"{method} {path} {status} has no body"] if content else []
    media_types = {kind.split(";")[0]: media_type for kind, media_type in content.items()}
    media_type = media_types.get((answer["content_type"] or "").split(";")[0])
    if media_type is None:
        return [f"{method} {path} {status} is {answer['content_type']}, and not one of {list(content)}"]
    schema = {**media_type["schema"], "components": document["components"]}
    errors = Draft202012Validator(schema).iter_errors(answer["body"])
    return [f"{method} {path} {status}: {error.json_path}: {error.message}" for error in errors]


asked = json.load(sys.stdin)
document = asked["document"]
found = [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()]
for answer in asked["answers"]:
    found += wrong_in(document, answer)
print(json.dumps(found))
