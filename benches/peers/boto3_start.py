"""A function in Python at its start: boto3, the same three clients, then the first request for work."""

import http.client
import os

import boto3

clients = [boto3.client(service) for service in ("s3", "dynamodb", "sns")]
connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
connection.request("GET", "/2018-06-01/runtime/invocation/next")
connection.getresponse()
