"""What others make of IAM policies and of Terraform.

usage: read.py policy      print what parliament finds wrong in a policy, a JSON array
       read.py trust       the same for a trust policy
       read.py terraform   print the policies that aws_iam_policy_document would make,
                           JSON: {"policies": {NAME: DOCUMENT}, "resources": {KIND: {NAME: BODY}}}
The text comes from standard input.
"""

import json
import sys
import warnings

import hcl2

# About a module that parliament should not use any more.
warnings.simplefilter("ignore")
import parliament


def policy(text):
    print(json.dumps([finding.issue for finding in parliament.analyze_policy_string(text).findings]))


def trust(text):
    """parliament misses the resource of a trust policy, which is the role itself."""
    document = json.loads(text)
    for statement in document["Statement"]:
        statement["Resource"] = "arn:aws:iam::111122223333:role/itself"
    policy(json.dumps(document))


def terraform(text):
    options = hcl2.SerializationOptions(
        with_comments=False, explicit_blocks=False, strip_string_quotes=True
    )
    blocks = hcl2.loads(text, serialization_options=options)
    policies = {}
    for block in blocks["data"]:
        for name, body in named(block["aws_iam_policy_document"]):
            statements = [statement(one) for one in body.pop("statement")]
            assert not body, body
            policies[name] = {"Version": "2012-10-17", "Statement": statements}
    resources = {}
    for block in blocks["resource"]:
        for kind, inner in named(block):
            resources.setdefault(kind, {}).update(named(inner))
    print(json.dumps({"policies": policies, "resources": resources}))


def statement(block):
    made = {"Sid": block.pop("sid"), "Effect": block.pop("effect"), "Action": block.pop("actions")}
    if "resources" in block:
        made["Resource"] = block.pop("resources")
    for one in block.pop("principals", []):
        made.setdefault("Principal", {})[one.pop("type")] = one.pop("identifiers")
        assert not one, one
    for one in block.pop("condition", []):
        tests = made.setdefault("Condition", {}).setdefault(one.pop("test"), {})
        tests[one.pop("variable")] = one.pop("values")
        assert not one, one
    assert not block, block
    return made


def named(block):
    return [(name.strip('"'), body) for name, body in block.items()]


commands = {command.__name__: command for command in (policy, trust, terraform)}
commands[sys.argv[1]](sys.stdin.read())
