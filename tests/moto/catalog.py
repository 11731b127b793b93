"""Delivery streams of every type that a stand-in of Amazon's API takes, for the catalog to read.

usage: catalog.py COUNT    make streams, every source with every destination in turn, until there
                           are COUNT; and DynamoDB tables that feed the Kinesis stream, if it can

Prints as JSON what was made: {"streams": {NAME: [SOURCE, DESTINATION]}, "tables": [NAME],
"refused": {SOURCE or DESTINATION: WHY}}. The server's URL is in AWS_ENDPOINT_URL.
"""

import itertools
import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

REGION = os.environ["AWS_REGION"]
ACCOUNT = boto3.client("sts").get_caller_identity()["Account"]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/firehose"
VPC_SERVICE = f"com.amazonaws.vpce.{REGION}.vpce-svc-0123456789abcdef0"
SECRET = "never-to-be-shown"
BUCKET = "arn:aws:s3:::catalog"
S3 = {"RoleARN": ROLE, "BucketARN": BUCKET, "Prefix": "static/!{timestamp:yyyy}/"}
DESTINATIONS = {
    "ExtendedS3": S3,
    "S3": S3,
    "Redshift": {
        "RoleARN": ROLE,
        "ClusterJDBCURL": "jdbc:redshift://cluster.example:5439/database",
        "CopyCommand": {"DataTableName": "schema.events"},
        "Username": SECRET,
        "Password": SECRET,
        "S3Configuration": S3,
    },
    "Elasticsearch": {
        "RoleARN": ROLE,
        "DomainARN": f"arn:aws:es:{REGION}:{ACCOUNT}:domain/old",
        "IndexName": "events",
        "IndexRotationPeriod": "OneDay",
        "S3Configuration": S3,
    },
    "Amazonopensearchservice": {
        "RoleARN": ROLE,
        "ClusterEndpoint": "https://search.example",
        "IndexName": "events",
        "S3Configuration": S3,
    },
    "AmazonOpenSearchServerless": {
        "RoleARN": ROLE,
        "CollectionEndpoint": "https://collection.example",
        "IndexName": "events",
        "S3Configuration": S3,
    },
    "Splunk": {
        "HECEndpoint": "https://splunk.example:8088",
        "HECEndpointType": "Event",
        "HECToken": SECRET,
        "S3Configuration": S3,
    },
    "HttpEndpoint": {
        "EndpointConfiguration": {
            "Url": f"https://http.example/in?key={SECRET}", "Name": "sink", "AccessKey": SECRET,
        },
        "RequestConfiguration": {
            "CommonAttributes": [{"AttributeName": "key", "AttributeValue": SECRET}],
        },
        "S3Configuration": S3,
    },
    "Snowflake": {
        "AccountUrl": "https://account.snowflakecomputing.com",
        "User": SECRET,
        "PrivateKey": SECRET * 20,
        "Database": "DATABASE",
        "Schema": "SCHEMA",
        "Table": "EVENTS",
        "RoleARN": ROLE,
        "S3Configuration": S3,
    },
    "Iceberg": {
        "RoleARN": ROLE,
        "CatalogConfiguration": {"CatalogARN": f"arn:aws:glue:{REGION}:{ACCOUNT}:catalog"},
        "DestinationTableConfigurationList": [
            {"DestinationDatabaseName": "database", "DestinationTableName": "events"},
        ],
        "S3Configuration": S3,
    },
}


def sources(kinesis):
    return {
        "DirectPut": {},
        "KinesisStreamAsSource": {
            "KinesisStreamSourceConfiguration": {"KinesisStreamARN": kinesis, "RoleARN": ROLE},
        },
        "MSKAsSource": {
            "MSKSourceConfiguration": {
                "MSKClusterARN": f"arn:aws:kafka:{REGION}:{ACCOUNT}:cluster/c/1-2",
                "TopicName": "topic",
                "AuthenticationConfiguration": {"RoleARN": ROLE, "Connectivity": "PRIVATE"},
            },
        },
        "DatabaseAsSource": {
            "DatabaseSourceConfiguration": {
                "Type": "MySQL",
                "Endpoint": "db.example",
                "Port": 3306,
                "Databases": {"Include": ["shop"]},
                "Tables": {"Include": ["shop.orders"]},
                "SnapshotWatermarkTable": "shop.watermark",
                "DatabaseSourceAuthenticationConfiguration": {
                    "SecretsManagerConfiguration": {"Enabled": True, "SecretARN": ROLE},
                },
                "DatabaseSourceVPCConfiguration": {"VpcEndpointServiceName": VPC_SERVICE},
            },
        },
    }


def make_role():
    trust = {
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "firehose.amazonaws.com"},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    boto3.client("iam").create_role(RoleName="firehose", AssumeRolePolicyDocument=document)


def kinesis_stream():
    client = boto3.client("kinesis")
    client.create_stream(StreamName="changes", ShardCount=1)
    client.get_waiter("stream_exists").wait(StreamName="changes")
    return client.describe_stream(StreamName="changes")["StreamDescription"]["StreamARN"]


def make_tables(kinesis):
    client = boto3.client("dynamodb")
    for name in ("orders", "users", "quiet"):
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    fed = []
    for name in ("orders", "users"):
        try:
            client.enable_kinesis_streaming_destination(TableName=name, StreamArn=kinesis)
            fed.append(name)
        except (ClientError, BotoCoreError):
            pass
    return fed


def make_streams(count, kinesis):
    boto3.client("s3").create_bucket(
        Bucket="catalog", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    client = boto3.client("firehose")
    made, refused = {}, {}
    kinds = list(itertools.product(sources(kinesis).items(), DESTINATIONS.items()))
    for number, ((source, feed), (key, destination)) in enumerate(itertools.cycle(kinds)):
        if len(made) == count or number > 10 * count:
            return made, refused
        if source in refused or key in refused:
            continue
        name = f"stream.{number:04}"
        try:
            client.create_delivery_stream(
                DeliveryStreamName=name,
                DeliveryStreamType=source,
                **feed,
                **{f"{key}DestinationConfiguration": destination},
            )
            made[name] = [source, key]
        except (ClientError, BotoCoreError) as error:
            if "LimitExceeded" in str(error):
                return made, {**refused, "more": str(error)}
            # What works from DirectPut, or to S3, is not to blame.
            refused[key if source == "DirectPut" else source] = str(error)


make_role()
kinesis = kinesis_stream()
streams, refused = make_streams(int(sys.argv[1]), kinesis)
json.dump({"streams": streams, "tables": make_tables(kinesis), "refused": refused}, sys.stdout)
