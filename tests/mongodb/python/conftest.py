"""What the tests share: a client of the server that runs, and a database that no other test uses.

NIMBUS_TEST_MONGODB_URI says where the server is, credentials included. Promises: every test gets a database
of its own, emptied afterwards. Deliberately unknown: which provider the tenants live on.
"""

import os
import re
import uuid

import pymongo
import pytest

URI = os.environ["NIMBUS_TEST_MONGODB_URI"]


@pytest.fixture(scope="session")
def uri():
    return URI


@pytest.fixture(scope="session")
def client():
    with pymongo.MongoClient(URI, serverSelectionTimeoutMS=10_000, tz_aware=False) as client:
        yield client


@pytest.fixture(scope="session")
def is_replica_set(client):
    return "setName" in client.admin.command("hello")


@pytest.fixture
def database(client, request):
    name = re.sub(r"\W+", "_", request.node.name)[:40] + "_" + uuid.uuid4().hex[:8]
    yield client[name]
    client.drop_database(name)


@pytest.fixture
def things(database):
    return database["things"]
