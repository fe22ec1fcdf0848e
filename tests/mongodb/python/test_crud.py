"""Inserts, finds, updates, deletes and their exact results, as an application calls them."""

import datetime
import re

import bson
import pymongo
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import DeleteOne, InsertOne, ReplaceOne, ReturnDocument, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteError


def test_every_type_comes_back_as_it_was_sent(things):
    sent = {
        "_id": ObjectId(),
        "double": 1.5,
        "infinite": float("inf"),
        "text": "naïve ✓ \u0000 end",
        "document": {"z": 1, "a": {"deep": [1, [2, {"three": 3}]]}},
        "array": [],
        "binary": Binary(b"\x00\xff", 128),
        "uuid": Binary.from_uuid(__import__("uuid").uuid4()),
        "bool": True,
        "date": datetime.datetime(2024, 2, 29, 12, 30, 15, 123000),
        "before_epoch": datetime.datetime(1901, 1, 1),
        "null": None,
        "regex": Regex("^a.*b$", "im"),
        "code": Code("function () {}"),
        "scoped": Code("x", {"x": 1}),
        "int": 7,
        "timestamp": Timestamp(5, 6),
        "long": Int64(2**40),
        "small_long": Int64(3),
        "decimal": Decimal128("1.2300"),
        "nan": Decimal128("NaN"),
        "min": MinKey(),
        "max": MaxKey(),
    }
    things.insert_one(sent)
    found = things.find_one({"_id": sent["_id"]})
    assert bson.encode(found) == bson.encode(sent)


def test_an_id_may_be_almost_anything_and_is_made_where_it_is_missing(things):
    ids = ["text", 5, 2.5, {"a": 1}, b"x", datetime.datetime(2020, 1, 1), None, True]
    for id in ids:
        things.insert_one({"_id": id})
        assert things.find_one({"_id": id})["_id"] == id
    assert things.count_documents({}) == len(ids)
    assert isinstance(things.insert_one({}).inserted_id, ObjectId)
    with pytest.raises(WriteError):
        things.insert_one({"_id": [1]})


def test_a_duplicate_is_named_with_pattern_and_value(things):
    things.create_index([("email", 1)], unique=True)
    things.insert_one({"_id": 1, "email": "a@example.org"})
    with pytest.raises(DuplicateKeyError) as caught:
        things.insert_one({"_id": 2, "email": "a@example.org"})
    details = caught.value.details
    assert details["code"] == 11000
    assert details["keyPattern"] == {"email": 1}
    assert details["keyValue"] == {"email": "a@example.org"}
    assert "E11000 duplicate key error collection:" in details["errmsg"]
    with pytest.raises(DuplicateKeyError) as caught:
        things.insert_one({"_id": 1})
    assert caught.value.details["keyPattern"] == {"_id": 1}


def test_ordered_batches_stop_and_unordered_ones_go_on(things):
    documents = [{"_id": 1}, {"_id": 1}, {"_id": 2}, {"_id": 2}, {"_id": 3}]
    with pytest.raises(BulkWriteError) as caught:
        things.insert_many(documents)
    assert caught.value.details["nInserted"] == 1
    assert [error["index"] for error in caught.value.details["writeErrors"]] == [1]
    things.delete_many({})
    with pytest.raises(BulkWriteError) as caught:
        things.insert_many(documents, ordered=False)
    assert caught.value.details["nInserted"] == 3
    assert [error["index"] for error in caught.value.details["writeErrors"]] == [1, 3]


def test_large_batches_and_cursors_in_many_pages(things):
    result = things.insert_many({"_id": n, "text": "x" * 200} for n in range(12_345))
    assert len(result.inserted_ids) == 12_345
    assert [d["_id"] for d in things.find({}, batch_size=997).sort("_id", 1)] == list(range(12_345))
    assert [d["_id"] for d in things.find().sort("_id", -1).skip(5).limit(3)] == [12_339, 12_338, 12_337]
    # A negative limit asks for one batch only.
    assert len(list(things.find(limit=-7))) == 7


def test_a_cursor_is_closed_and_then_unknown(things):
    things.insert_many({"_id": n} for n in range(300))
    cursor = things.find(batch_size=10)
    next(cursor)
    id = cursor.cursor_id
    assert id
    cursor.close()
    with pytest.raises(OperationFailure) as caught:
        things.database.command("getMore", Int64(id), collection=things.name)
    assert caught.value.code == 43


def test_filters(things):
    things.insert_many(
        [
            {"_id": 1, "n": 5, "tags": ["a", "b"], "sub": [{"k": 1, "v": 2}, {"k": 2, "v": 3}], "s": "Apple"},
            {"_id": 2, "n": 5.0, "tags": [], "s": "banana", "null": None},
            {"_id": 3, "n": Int64(7), "tags": ["b"], "sub": [{"k": 1, "v": 3}], "s": "cherry"},
            {"_id": 4, "n": "7", "bits": 20},
            {"_id": 5, "n": [1, 9]},
        ]
    )

    def ids(filter):
        return sorted(d["_id"] for d in things.find(filter, {"_id": 1}))

    assert ids({"n": 5}) == [1, 2]
    assert ids({"n": {"$gt": 5}}) == [3, 5]
    assert ids({"n": {"$gt": 2, "$lt": 8}}) == [1, 2, 3, 5]
    assert ids({"n": {"$elemMatch": {"$gt": 2, "$lt": 8}}}) == []
    assert ids({"n": {"$in": [7, "7"]}}) == [3, 4]
    assert ids({"n": {"$nin": [5, 7]}}) == [4, 5]
    assert ids({"null": None}) == [1, 2, 3, 4, 5]
    assert ids({"null": {"$exists": True}}) == [2]
    assert ids({"null": {"$type": "null"}}) == [2]
    assert ids({"n": {"$type": ["string", "array"]}}) == [4, 5]
    assert ids({"tags": "b"}) == [1, 3]
    assert ids({"tags": {"$all": ["a", "b"]}}) == [1]
    assert ids({"tags": {"$size": 0}}) == [2]
    assert ids({"tags.0": "b"}) == [3]
    assert ids({"sub": {"$elemMatch": {"k": 1, "v": 3}}}) == [3]
    assert ids({"sub.k": 1, "sub.v": 3}) == [1, 3]
    assert ids({"s": re.compile("^[AB]", re.I)}) == [1, 2]
    assert ids({"s": {"$not": re.compile("an")}}) == [1, 3, 4, 5]
    assert ids({"n": {"$mod": [5, 0]}}) == [1, 2]
    assert ids({"bits": {"$bitsAllSet": [2, 4]}}) == [4]
    assert ids({"$or": [{"_id": 1}, {"s": "cherry"}], "n": {"$ne": 7}}) == [1]
    assert ids({"$nor": [{"n": 5}, {"n": 7}]}) == [4, 5]
    assert ids({"$expr": {"$gt": [{"$size": {"$ifNull": ["$tags", []]}}, 1]}}) == [1]
    assert ids({"$jsonSchema": {"required": ["bits"], "properties": {"bits": {"bsonType": "int"}}}}) == [4]
    with pytest.raises(OperationFailure, match=r"\$near"):
        ids({"place": {"$near": [1, 2]}})
    with pytest.raises(OperationFailure, match=r"\$foo"):
        ids({"n": {"$foo": 1}})


def test_projections(things):
    things.insert_one({"_id": 1, "a": {"b": 1, "c": 2}, "list": [1, 2, 3, 4], "subs": [{"k": 1}, {"k": 2}], "z": 9})

    def project(projection, filter=None):
        return things.find_one(filter or {}, projection)

    assert project({"a.b": 1}) == {"_id": 1, "a": {"b": 1}}
    assert project({"a": 0, "list": 0, "subs": 0}) == {"_id": 1, "z": 9}
    assert project({"_id": 0, "list": {"$slice": -2}, "z": 1}) == {"list": [3, 4], "z": 9}
    assert project({"_id": 0, "subs": {"$elemMatch": {"k": 2}}}) == {"subs": [{"k": 2}]}
    assert project({"_id": 0, "subs.$": 1}, {"subs.k": 2}) == {"subs": [{"k": 2}]}
    assert project({"_id": 0, "sum": {"$sum": "$list"}}) == {"sum": 10}
    with pytest.raises(OperationFailure):
        project({"a": 1, "z": 0})


def test_updates(things):
    things.insert_one({"_id": 1, "n": 1, "list": [1, 2], "subs": [{"k": 1, "q": 1}, {"k": 2, "q": 5}]})

    def update(change, filter=None, **options):
        result = things.update_one(filter or {"_id": 1}, change, **options)
        return result.matched_count, result.modified_count

    assert update({"$inc": {"n": 2}, "$set": {"a.b": 1}}) == (1, 1)
    assert update({"$set": {"a.b": 1}}) == (1, 0)
    assert update({"$push": {"list": {"$each": [9, 0], "$sort": 1, "$slice": -3}}}) == (1, 1)
    assert update({"$addToSet": {"list": {"$each": [9, 10]}}}) == (1, 1)
    assert update({"$pull": {"list": {"$lt": 2}}}) == (1, 1)
    assert update({"$set": {"subs.$.q": 6}}, {"subs.k": 2}) == (1, 1)
    assert update({"$inc": {"subs.$[big].q": 10}}, array_filters=[{"big.q": {"$gt": 5}}]) == (1, 1)
    assert update({"$mul": {"subs.$[].q": 2}}) == (1, 1)
    assert update({"$rename": {"n": "m"}, "$unset": {"a": 1}}) == (1, 1)
    assert update([{"$set": {"total": {"$sum": "$subs.q"}}}]) == (1, 1)
    assert update({"$bit": {"m": {"or": 4}}, "$min": {"total": 10}, "$currentDate": {"at": True}}) == (1, 1)
    found = things.find_one({"_id": 1})
    assert isinstance(found.pop("at"), datetime.datetime)
    assert found == {"_id": 1, "list": [2, 9, 10], "subs": [{"k": 1, "q": 2}, {"k": 2, "q": 32}], "m": 7, "total": 10}
    with pytest.raises(WriteError) as caught:
        update({"$set": {"_id": 2}})
    assert caught.value.code == 66
    with pytest.raises(WriteError) as caught:
        update({"$set": {"x": 1}, "$inc": {"x.y": 1}})
    assert caught.value.code == 40
    with pytest.raises(WriteError) as caught:
        update({"$inc": {"list": 1}})
    assert caught.value.code == 14


def test_upserts_replacements_and_many(things):
    result = things.update_one({"name": "a", "n": {"$gt": 1}}, {"$set": {"x": 1}, "$setOnInsert": {"y": 2}}, upsert=True)
    assert isinstance(result.upserted_id, ObjectId) and result.matched_count == 0
    assert things.find_one({}, {"_id": 0}) == {"name": "a", "x": 1, "y": 2}
    assert things.replace_one({"_id": "r"}, {"v": 1}, upsert=True).upserted_id == "r"
    assert things.replace_one({"_id": "r"}, {"v": 2}).modified_count == 1
    assert things.find_one({"_id": "r"}) == {"_id": "r", "v": 2}
    things.insert_many({"_id": n, "many": True} for n in range(2500))
    result = things.update_many({"many": True}, {"$set": {"seen": True}})
    assert (result.matched_count, result.modified_count) == (2500, 2500)
    assert things.delete_many({"many": True, "_id": {"$gte": 100}}).deleted_count == 2400
    assert things.delete_one({"many": True}).deleted_count == 1
    assert things.count_documents({"seen": True}) == 99


def test_mixed_bulk_writes(things):
    result = things.bulk_write(
        [
            InsertOne({"_id": 1, "n": 1}),
            InsertOne({"_id": 2, "n": 1}),
            UpdateMany({"n": 1}, {"$inc": {"n": 1}}),
            UpdateOne({"_id": 3}, {"$set": {"n": 5}}, upsert=True),
            ReplaceOne({"_id": 1}, {"n": 100}),
            DeleteOne({"_id": 2}),
        ]
    )
    assert (result.inserted_count, result.matched_count, result.modified_count) == (2, 3, 3)
    assert (result.deleted_count, result.upserted_ids) == (1, {3: 3})
    assert list(things.find().sort("_id")) == [{"_id": 1, "n": 100}, {"_id": 3, "n": 5}]


def test_find_and_modify(things):
    things.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2}])
    assert things.find_one_and_update({}, {"$inc": {"n": 10}}, sort=[("n", -1)])["n"] == 2
    after = things.find_one_and_update({"_id": 2}, {"$inc": {"n": 1}}, return_document=ReturnDocument.AFTER)
    assert after == {"_id": 2, "n": 13}
    assert things.find_one_and_delete({"_id": 1}, projection={"_id": 0}) == {"n": 1}
    assert things.find_one_and_replace({"_id": 9}, {"n": 9}, upsert=True) is None
    assert things.find_one_and_update({"_id": 77}, {"$set": {"n": 1}}) is None
    assert sorted(d["_id"] for d in things.find()) == [2, 9]


def test_distinct_and_counts(things):
    things.insert_many([{"a": [1, 2]}, {"a": 2}, {"a": 3.0}, {"b": {"c": "x"}}, {"b": [{"c": "y"}, {"c": "x"}]}])
    assert things.distinct("a") == [1, 2, 3.0]
    assert things.distinct("a", {"a": {"$gt": 2}}) == [3.0]
    assert things.distinct("b.c") == ["x", "y"]
    assert things.estimated_document_count() == 5
    assert things.count_documents({"a": {"$exists": True}}, skip=1, limit=1) == 1


def test_collation(things):
    things.insert_many([{"_id": n, "s": s} for n, s in enumerate(["a10", "A2", "b", "á1"])])
    ignore_case = pymongo.collation.Collation("en", strength=2)
    assert things.count_documents({"s": "a2"}, collation=ignore_case) == 1
    base = pymongo.collation.Collation("en", strength=1, numericOrdering=True)
    assert [d["s"] for d in things.find().sort("s").collation(base)] == ["á1", "A2", "a10", "b"]
    assert things.count_documents({"s": "a2"}) == 0


def test_hints_and_explain(things):
    things.create_index([("n", 1)])
    things.insert_many({"n": n} for n in range(50))
    plan = things.find({"n": {"$gte": 40}}).hint("n_1").explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
    assert plan["executionStats"]["nReturned"] == 10
    assert len(list(things.find({"n": 3}).hint([("$natural", 1)]))) == 1
    with pytest.raises(OperationFailure):
        list(things.find().hint("nothing_1"))


def test_what_is_unknown_is_refused_by_name(database):
    with pytest.raises(OperationFailure) as caught:
        database.command("nonsense")
    assert caught.value.code == 59
    with pytest.raises(OperationFailure, match="nonsense") as caught:
        database.command({"find": "things", "nonsense": 1})
    assert caught.value.code == 40415
