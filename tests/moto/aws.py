"""What the tests ask of AWS besides putting records, through AWS's own client.

usage: aws.py create BUCKET STREAM...   make a bucket, and delivery streams into it
       aws.py create_to KIND STREAM     make a delivery stream to anything but S3
       aws.py read BUCKET STREAM...     print each stream's objects, JSON of base64
       aws.py create_queue NAME         make a queue in SQS, and print its path
       aws.py put_secret NAME VALUE     keep a secret in Secrets Manager
       aws.py put_parameter NAME VALUE  keep a secret in Systems Manager
       aws.py take KIND DOCUMENT        make a policy, or a role by its trust, and print the document
                                        as it is kept, or why it is refused: JSON
       aws.py record                    begin to keep the requests that come in
       aws.py recorded                  print them, one JSON object on each line
The server's URL is in AWS_ENDPOINT_URL.
"""

import base64
import json
import os
import sys
import urllib.parse
import urllib.request
import uuid

import boto3
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/firehose"
# What AWS says of every stream, and moto only where it was given.
OBJECTS = {
    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
    "CompressionFormat": "UNCOMPRESSED",
    "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
}


def create(bucket, *streams):
    region = os.environ["AWS_REGION"]
    boto3.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region}
    )
    firehose = boto3.client("firehose")
    for stream in streams:
        firehose.create_delivery_stream(
            DeliveryStreamName=stream,
            DeliveryStreamType="DirectPut",
            ExtendedS3DestinationConfiguration={
                "RoleARN": ROLE,
                "BucketARN": f"arn:aws:s3:::{bucket}",
                "Prefix": f"{stream}/",
                **OBJECTS,
            },
        )


def create_to(kind, stream):
    s3 = {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::any", **OBJECTS}
    configuration = {
        "redshift": {
            "RoleARN": ROLE,
            "ClusterJDBCURL": "jdbc:redshift://cluster:5439/database",
            "CopyCommand": {"DataTableName": "events"},
            "Username": "user",
            "Password": "password",
        },
        "elasticsearch": {"RoleARN": ROLE, "IndexName": "events"},
        "snowflake": {
            "AccountUrl": "https://account.snowflakecomputing.com",
            "Database": "database",
            "Schema": "schema",
            "Table": "events",
            "RoleARN": ROLE,
        },
    }[kind]
    key = "".join(word.capitalize() for word in kind.split("_")) + "DestinationConfiguration"
    boto3.client("firehose").create_delivery_stream(
        DeliveryStreamName=stream,
        DeliveryStreamType="DirectPut",
        **{key: {**configuration, "S3Configuration": s3}},
    )


def read(bucket, *streams):
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2")
    objects = {stream: [] for stream in streams}
    for stream in streams:
        for page in pages.paginate(Bucket=bucket, Prefix=f"{stream}/"):
            for entry in page.get("Contents", []):
                body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                objects[stream].append(base64.b64encode(body).decode())
    json.dump(objects, sys.stdout)


def create_queue(name):
    # Other servers than AWS name another host.
    print(urllib.parse.urlsplit(boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]).path)


def put_secret(name, value):
    boto3.client("secretsmanager").create_secret(Name=name, SecretString=value)


def put_parameter(name, value):
    boto3.client("ssm").put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


def take(kind, document):
    try:
        print(json.dumps({"kept": {"policy": policy, "trust": trust}[kind](document)}))
    except ClientError as error:
        print(json.dumps({"refused": str(error)}))


def policy(document):
    iam = boto3.client("iam")
    made = iam.create_policy(PolicyName=uuid.uuid4().hex, PolicyDocument=document)["Policy"]
    version = iam.get_policy_version(PolicyArn=made["Arn"], VersionId=made["DefaultVersionId"])
    return version["PolicyVersion"]["Document"]


def trust(document):
    iam = boto3.client("iam")
    name = uuid.uuid4().hex
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
    # moto looks at the document only here.
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=document)
    return iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]


def record():
    ask("reset-recording")
    ask("start-recording")


def recorded():
    print(ask("download-recording"))


def ask(what):
    url = f"{os.environ['AWS_ENDPOINT_URL']}/moto-api/recorder/{what}"
    method = "GET" if what.startswith("download") else "POST"
    with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
        return answer.read().decode()


every = (create, create_to, read, create_queue, put_secret, put_parameter, take, record, recorded)
commands = {command.__name__: command for command in every}
commands[sys.argv[1]](*sys.argv[2:])
