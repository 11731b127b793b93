"""ministack on a free port of loopback, for as long as standard input is open.

usage: serve.py PYTHON_WITH_BOTO3 EXTERNAL_ID STREAM

The external id is the secret `external-id` too. The queue `standpipe` exists in SQS.

Prints its URL, the two keys of a user who may only assume roles and read secrets, and the ARN of a
role that wants EXTERNAL_ID, each on a line.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

SETUP = """
import json, sys
import boto3

url, external_id, stream = sys.argv[1:]


def client(service, key="test", secret="test"):
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    return boto3.client(service, endpoint_url=url, region_name="eu-central-1", **keys)


def policy(action, **more):
    statement = {"Effect": "Allow", "Action": action, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


iam = client("iam")
iam.create_user(UserName="user")
keys = iam.create_access_key(UserName="user")["AccessKey"]
assume = policy(["sts:AssumeRole", "secretsmanager:GetSecretValue"], Resource="*")
iam.put_user_policy(UserName="user", PolicyName="assume", PolicyDocument=assume)
client("secretsmanager").create_secret(Name="external-id", SecretString=external_id)
condition = {"StringEquals": {"sts:ExternalId": external_id}}
trust = policy("sts:AssumeRole", Principal={"AWS": "*"}, Condition=condition)
role = iam.create_role(RoleName="writer", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
write = policy("firehose:*", Resource="*")
iam.put_role_policy(RoleName="writer", PolicyName="write", PolicyDocument=write)
client("s3").create_bucket(
    Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
)
client("firehose").create_delivery_stream(
    DeliveryStreamName=stream,
    ExtendedS3DestinationConfiguration={"RoleARN": role, "BucketARN": "arn:aws:s3:::bucket"},
)
client("sqs").create_queue(QueueName="standpipe")
print(url, keys["AccessKeyId"], keys["SecretAccessKey"], role, sep="\\n", flush=True)
"""

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
directory = tempfile.TemporaryDirectory()
environment = {
    **os.environ, "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "HOME": directory.name,
}
server = subprocess.Popen(
    [sys.executable, "-m", "ministack"],
    env=environment, cwd=directory.name, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
)
try:
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.1)
    arguments = [f"http://127.0.0.1:{port}", *sys.argv[2:]]
    subprocess.run([sys.argv[1], "-c", SETUP, *arguments], check=True)
    sys.stdin.read()
finally:
    server.kill()
    server.wait()
    directory.cleanup()
