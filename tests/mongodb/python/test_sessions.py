"""Sessions, transactions, retryable writes and change streams, on a standalone server and a replica set of one."""

import threading
import uuid

import pymongo
import pytest
from bson import Binary, Int64
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError


@pytest.fixture
def accounts(database):
    database["accounts"].insert_many([{"_id": "a", "sum": 100}, {"_id": "b", "sum": 0}])
    return database["accounts"]


def only_with_transactions(is_replica_set):
    if not is_replica_set:
        pytest.skip("drivers use transactions with a replica set only")


def test_a_transaction_is_all_or_nothing(client, accounts, is_replica_set):
    only_with_transactions(is_replica_set)
    with client.start_session() as session:
        with session.start_transaction():
            accounts.update_one({"_id": "a"}, {"$inc": {"sum": -30}}, session=session)
            accounts.update_one({"_id": "b"}, {"$inc": {"sum": 30}}, session=session)
            assert accounts.find_one({"_id": "b"}, session=session)["sum"] == 30
            assert accounts.find_one({"_id": "b"})["sum"] == 0, "nobody else sees it yet"
        assert accounts.find_one({"_id": "b"})["sum"] == 30
        with pytest.raises(ZeroDivisionError), session.start_transaction():
            accounts.delete_many({}, session=session)
            raise ZeroDivisionError
    assert accounts.count_documents({}) == 2


def test_conflicting_transactions_are_retried_to_the_exact_sum(client, accounts, is_replica_set):
    only_with_transactions(is_replica_set)

    def move(session):
        a = accounts.find_one({"_id": "a"}, session=session)
        accounts.update_one({"_id": "a"}, {"$set": {"sum": a["sum"] - 1}}, session=session)
        accounts.update_one({"_id": "b"}, {"$inc": {"sum": 1}}, session=session)

    def work():
        with client.start_session() as session:
            for _ in range(10):
                session.with_transaction(move)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {d["_id"]: d["sum"] for d in accounts.find()} == {"a": 60, "b": 40}


def test_a_conflict_carries_the_label(client, accounts, is_replica_set):
    only_with_transactions(is_replica_set)
    with client.start_session() as one, client.start_session() as other:
        one.start_transaction()
        accounts.update_one({"_id": "a"}, {"$inc": {"sum": 1}}, session=one)
        accounts.update_one({"_id": "a"}, {"$inc": {"sum": 1}})
        with pytest.raises(PyMongoError) as caught:
            accounts.update_one({"_id": "a"}, {"$inc": {"sum": 1}}, session=one)
            one.commit_transaction()
        assert caught.value.has_error_label("TransientTransactionError")
        assert caught.value.code == 112
        assert other.session_id != one.session_id
    assert accounts.find_one({"_id": "a"})["sum"] == 101


def test_a_transaction_stays_in_its_database(client, accounts, is_replica_set):
    only_with_transactions(is_replica_set)
    other = client[accounts.database.name + "_other"]
    with client.start_session() as session:
        session.start_transaction()
        accounts.insert_one({"_id": "c"}, session=session)
        with pytest.raises(OperationFailure) as caught:
            other["accounts"].insert_one({"_id": "c"}, session=session)
        assert caught.value.code == 263
        session.commit_transaction()
    assert accounts.count_documents({"_id": "c"}) == 1
    assert other["accounts"].count_documents({}) == 0
    client.drop_database(other.name)


def test_a_retried_write_is_made_once(database):
    lsid = {"id": Binary.from_uuid(uuid.uuid4())}
    command = {
        "update": "counters",
        "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}, "upsert": True}],
        "lsid": lsid,
        "txnNumber": Int64(1),
    }
    with database.client.start_session() as session:
        # Sent past the driver's own session handling, the same bytes twice.
        raw = database.with_options()
        first = raw.command(dict(command))
        again = raw.command(dict(command))
        assert session is not None
    assert first["n"] == again["n"] == 1
    assert database["counters"].find_one({"_id": 1})["n"] == 1


def test_change_streams_tell_what_happened(database):
    things = database["things"]
    things.insert_one({"_id": 0})
    with things.watch(full_document="updateLookup") as stream:
        things.insert_one({"_id": 1, "n": 1, "keep": True})
        things.update_one({"_id": 1}, {"$set": {"n": 2}, "$unset": {"keep": 1}})
        things.replace_one({"_id": 1}, {"n": 3})
        things.delete_one({"_id": 1})
        events = [next(stream) for _ in range(4)]
        assert [event["operationType"] for event in events] == ["insert", "update", "replace", "delete"]
        assert events[0]["fullDocument"] == {"_id": 1, "n": 1, "keep": True}
        assert events[1]["updateDescription"]["updatedFields"] == {"n": 2}
        assert events[1]["updateDescription"]["removedFields"] == ["keep"]
        assert all(event["ns"] == {"db": database.name, "coll": "things"} for event in events)
        assert events[3]["documentKey"] == {"_id": 1}
        assert stream.try_next() is None
    with things.watch(resume_after=events[1]["_id"]) as stream:
        assert [next(stream)["operationType"] for _ in range(2)] == ["replace", "delete"]
    with things.watch([{"$match": {"operationType": "insert"}}, {"$project": {"fullDocument": 1}}]) as stream:
        things.insert_one({"_id": 2})
        things.delete_one({"_id": 2})
        things.insert_one({"_id": 3})
        assert [next(stream)["fullDocument"]["_id"] for _ in range(2)] == [2, 3]


def test_a_stream_of_a_database_and_its_end(database):
    with database.watch() as stream:
        database["one"].insert_one({"_id": 1})
        database["two"].insert_one({"_id": 2})
        database["one"].drop()
        events = [next(stream) for _ in range(3)]
        assert [(e["operationType"], e["ns"]["coll"]) for e in events] == [
            ("insert", "one"),
            ("insert", "two"),
            ("drop", "one"),
        ]
    things = database["two"]
    with things.watch() as stream:
        things.drop()
        assert [next(stream)["operationType"] for _ in range(2)] == ["drop", "invalidate"]


def test_a_waiting_stream_is_woken(database):
    things = database["things"]
    with things.watch(max_await_time_ms=30_000) as stream:
        assert stream.alive
        timer = threading.Timer(0.3, lambda: things.insert_one({"_id": "late"}))
        timer.start()
        assert next(stream)["documentKey"] == {"_id": "late"}
        timer.join()


def test_streams_of_other_databases_see_nothing(client, database):
    with database["things"].watch(max_await_time_ms=200) as stream:
        other = client[database.name + "_other"]
        other["things"].insert_one({"_id": "foreign"})
        assert stream.try_next() is None
        client.drop_database(other.name)


def test_compression_and_wrong_passwords(uri, database):
    database["things"].insert_one({"_id": 1, "text": "x" * 10_000})
    for compressor in ["zlib"]:
        with pymongo.MongoClient(uri, compressors=compressor) as client:
            assert len(client[database.name]["things"].find_one()["text"]) == 10_000
    for username, password in [("nimbus", "wrong"), ("nobody", "wrong")]:
        with pymongo.MongoClient(uri, username=username, password=password) as client:
            with pytest.raises(OperationFailure) as caught:
                client.admin.command("listDatabases")
            assert caught.value.code == 18


def test_parallel_first_writes_make_one_database(uri):
    name = "first_" + uuid.uuid4().hex
    errors = []

    def write(number):
        try:
            with pymongo.MongoClient(uri) as client:
                client[name]["things"].insert_one({"_id": number})
        except Exception as error:  # noqa: BLE001: shown below
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pymongo.MongoClient(uri) as client:
        assert errors == []
        assert client.list_database_names().count(name) == 1
        assert client[name]["things"].count_documents({}) == 32
        with pytest.raises(DuplicateKeyError):
            client[name]["things"].insert_one({"_id": 5})
        client.drop_database(name)
