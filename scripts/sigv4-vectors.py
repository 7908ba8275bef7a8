#!/usr/bin/env python3
"""Writes src/api/sigv4_vectors.json: requests signed by botocore, which src/api/sigv4.rs must accept.

The keys are examples from AWS's documentation and texts of our own; none opens anything.

    pip install botocore && python3 scripts/sigv4-vectors.py > src/api/sigv4_vectors.json
"""

import datetime
import json
import sys
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 11, 22, 18, 30, 5)

CASES = [
    ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "http://127.0.0.1:8083/", "ListStateMachines", "{}"),
    ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "http://sync-localhost:8083/", "StartSyncExecution", '{"input": "{}"}'),
    ("reader", "a secret with spaces", "https://states.example.org/", "DescribeExecution", '{"executionArn": "arn:é"}'),
    ("worker", "s", "http://[::1]:8083/", "GetActivityTask", ""),
]


def signed(access_key, secret, url, operation, body):
    headers = {
        "X-Amz-Target": f"AWSStepFunctions.{operation}",
        "Content-Type": "application/x-amz-json-1.0",
        "User-Agent": "Boto3/1.0  with   spaces",
    }
    request = AWSRequest(method="POST", url=url, headers=headers, data=body.encode())
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        botocore.auth.SigV4Auth(Credentials(access_key, secret), "states", "us-east-1").add_auth(request)
    out = [[name.lower(), value] for name, value in request.headers.items()]
    out.append(["host", url.split("/")[2]])
    return {"access_key": access_key, "secret": secret, "time": request.headers["X-Amz-Date"], "headers": out, "body": body}


json.dump([signed(*case) for case in CASES], sys.stdout, indent=1, ensure_ascii=False)
sys.stdout.write("\n")
