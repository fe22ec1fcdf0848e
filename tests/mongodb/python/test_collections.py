"""Collections, indexes, validation and databases: what administrators and migrations call."""

import datetime
import time

import pymongo
import pytest
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure, WriteError


def test_collections_are_made_listed_renamed_and_dropped(database):
    database.create_collection("made")
    database["implied"].insert_one({})
    assert sorted(database.list_collection_names()) == ["implied", "made"]
    with pytest.raises(CollectionInvalid):
        database.create_collection("made")
    [info] = database.list_collections(filter={"name": "made"})
    assert info["type"] == "collection" and info["info"]["uuid"]
    database["implied"].rename("renamed")
    assert database["renamed"].count_documents({}) == 1
    with pytest.raises(OperationFailure) as caught:
        database["renamed"].rename("made")
    assert caught.value.code == 48
    database["renamed"].rename("made", dropTarget=True)
    assert database.list_collection_names() == ["made"]
    database.drop_collection("made")
    assert database.list_collection_names() == []
    # Dropping what is not there is no error.
    database.drop_collection("made")


def test_a_dropped_collection_comes_back_empty(database):
    things = database["things"]
    things.create_index("n", unique=True)
    things.insert_many({"_id": n, "n": n} for n in range(1000))
    things.drop()
    assert things.count_documents({}) == 0
    things.insert_one({"_id": 1, "n": 5})
    things.insert_one({"_id": 2, "n": 5})
    assert [index["name"] for index in things.list_indexes()] == ["_id_"]


def test_indexes(database):
    things = database["things"]
    things.insert_many({"a": n % 7, "b": {"c": [n, n + 1]}} for n in range(100))
    names = things.create_indexes(
        [
            pymongo.IndexModel([("a", 1), ("b.c", -1)]),
            pymongo.IndexModel("a", name="by_a", sparse=True),
            pymongo.IndexModel("b.c"),
        ]
    )
    assert names == ["a_1_b.c_-1", "by_a", "b.c_1"]
    assert things.create_index([("b.c", 1)]) == "b.c_1"
    information = things.index_information()
    assert information["a_1_b.c_-1"]["key"] == [("a", 1), ("b.c", -1)]
    assert information["by_a"]["sparse"] is True
    assert things.count_documents({"a": 3, "b.c": {"$gt": 50}}) == 7
    with pytest.raises(OperationFailure) as caught:
        things.create_index("a", name="another_name", sparse=True)
    assert caught.value.code == 85
    with pytest.raises(OperationFailure) as caught:
        things.create_index("c", name="by_a")
    assert caught.value.code == 86
    things.drop_index("by_a")
    with pytest.raises(OperationFailure) as caught:
        things.drop_index("by_a")
    assert caught.value.code == 27
    things.drop_indexes()
    assert list(things.index_information()) == ["_id_"]


def test_a_unique_index_over_duplicates_is_not_made(database):
    things = database["things"]
    things.insert_many([{"n": 1}, {"n": 1}])
    with pytest.raises(DuplicateKeyError):
        things.create_index("n", unique=True)
    assert list(things.index_information()) == ["_id_"]


def test_a_partial_unique_index_binds_what_it_covers(database):
    users = database["users"]
    users.create_index("email", unique=True, partialFilterExpression={"active": True})
    users.insert_one({"_id": 1, "email": "a", "active": True})
    users.insert_one({"_id": 2, "email": "a", "active": False})
    with pytest.raises(DuplicateKeyError):
        users.update_one({"_id": 2}, {"$set": {"active": True}})
    assert [d["_id"] for d in users.find({"email": "a", "active": True})] == [1]
    assert users.count_documents({"email": "a"}) == 2


def test_documents_expire(database):
    sessions = database["sessions"]
    sessions.create_index("at", expireAfterSeconds=0)
    long_ago = datetime.datetime(2020, 1, 1)
    sessions.insert_many([{"_id": "old", "at": long_ago}, {"_id": "new", "at": datetime.datetime(2999, 1, 1)}])
    sessions.insert_one({"_id": "none"})
    for _ in range(900):
        if sessions.count_documents({}) == 2:
            break
        time.sleep(0.1)
    assert sorted(d["_id"] for d in sessions.find()) == ["new", "none"]


def test_a_validator_binds_writes(database):
    schema = {
        "bsonType": "object",
        "required": ["name"],
        "properties": {"name": {"bsonType": "string"}, "age": {"bsonType": "int", "minimum": 0}},
    }
    people = database.create_collection("people", validator={"$jsonSchema": schema})
    people.insert_one({"name": "a", "age": 3})
    with pytest.raises(WriteError) as caught:
        people.insert_one({"age": -1})
    assert caught.value.code == 121
    assert caught.value.details["errInfo"]["details"]
    with pytest.raises(WriteError):
        people.update_one({}, {"$set": {"age": -1}})
    with_bypass = people.with_options()
    with_bypass.insert_one({"age": 1}, bypass_document_validation=True)
    [info] = database.list_collections(filter={"name": "people"})
    assert info["options"]["validator"] == {"$jsonSchema": schema}
    database.command("collMod", "people", validator={}, validationLevel="off")
    people.insert_one({"age": -5})


def test_databases_are_tenants(client, database):
    database["things"].insert_one({"_id": 1})
    assert database.name in client.list_database_names()
    client.drop_database(database.name)
    assert database.list_collection_names() == []
    for name in ["_reserved", "a" * 200]:
        with pytest.raises(OperationFailure) as caught:
            client[name]["things"].insert_one({})
        assert caught.value.code == 73, name


def test_figures(client, database):
    database["things"].insert_many({"n": n} for n in range(10))
    assert database.command("dbStats")["collections"] == 1
    assert database.command("collStats", "things")["count"] == 10
    assert client.server_info()["version"].startswith("7.0")
    assert client.admin.command("serverStatus")["connections"]["current"] >= 1
    assert client.admin.command("ping")["ok"] == 1
    assert client.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
