"""A server for clients that were written for other endpoints: KMS keys are recorded, every region is this one's."""

import os
import pathlib
import socket
import subprocess
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("REVEILLE_BINARY", ROOT / "target/debug/reveille")
SOON = 60


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {"REVEILLE__API__KMS": "record", "REVEILLE__ENGINE__REGION": "any", "REVEILLE__API__LISTEN": listen}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([BINARY, "serve", "--store", f"sqlite:{folder}/store.db"], cwd=folder, stdout=log,
                                  stderr=log, env={"PATH": os.environ["PATH"], **settings})
    deadline = time.monotonic() + SOON
    while True:
        try:
            urllib.request.urlopen(f"http://{listen}/readyz").close()
            break
        except OSError:
            assert time.monotonic() < deadline and server.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
    yield f"http://{listen}"
    server.kill()
    server.wait()


@pytest.fixture
def client(endpoint):
    def make(region="us-east-1"):
        return boto3.client("stepfunctions", region_name=region, endpoint_url=endpoint, aws_access_key_id="any",
                            aws_secret_access_key="any", config=Config(inject_host_prefix=False))

    return make
