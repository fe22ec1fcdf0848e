"""Aggregations as applications write them."""

import datetime

import pytest
from pymongo.errors import OperationFailure


@pytest.fixture
def orders(database):
    database["items"].insert_many(
        [{"_id": "pen", "price": 2, "kinds": ["blue", "red"]}, {"_id": "ink", "price": 7}, {"_id": "cap", "price": 30}]
    )
    database["orders"].insert_many(
        [
            {"_id": 1, "who": "ann", "item": "pen", "n": 5, "at": datetime.datetime(2024, 1, 31, 23, 30)},
            {"_id": 2, "who": "bob", "item": "ink", "n": 1, "at": datetime.datetime(2024, 2, 1, 0, 30)},
            {"_id": 3, "who": "ann", "item": "ink", "n": 2, "at": datetime.datetime(2024, 2, 29, 12)},
            {"_id": 4, "who": "cid", "item": "gone", "n": 9, "at": datetime.datetime(2024, 3, 1)},
        ]
    )
    return database["orders"]


def test_groups_and_accumulators(orders):
    found = orders.aggregate(
        [
            {"$match": {"n": {"$gt": 0}}},
            {"$group": {"_id": "$who", "n": {"$sum": "$n"}, "items": {"$push": "$item"}, "most": {"$max": "$n"}}},
            {"$sort": {"_id": 1}},
        ]
    )
    assert list(found) == [
        {"_id": "ann", "n": 7, "items": ["pen", "ink"], "most": 5},
        {"_id": "bob", "n": 1, "items": ["ink"], "most": 1},
        {"_id": "cid", "n": 9, "items": ["gone"], "most": 9},
    ]
    assert list(orders.aggregate([{"$sortByCount": "$item"}, {"$limit": 1}])) == [{"_id": "ink", "count": 2}]
    assert list(orders.aggregate([{"$count": "total"}])) == [{"total": 4}]


def test_lookups(orders):
    joined = orders.aggregate(
        [
            {"$lookup": {"from": "items", "localField": "item", "foreignField": "_id", "as": "item"}},
            {"$unwind": {"path": "$item", "preserveNullAndEmptyArrays": True}},
            {"$project": {"cost": {"$multiply": ["$n", {"$ifNull": ["$item.price", 0]}]}}},
            {"$sort": {"_id": 1}},
        ]
    )
    assert list(joined) == [{"_id": 1, "cost": 10}, {"_id": 2, "cost": 7}, {"_id": 3, "cost": 14}, {"_id": 4, "cost": 0}]
    dear = orders.aggregate(
        [
            {
                "$lookup": {
                    "from": "items",
                    "let": {"n": "$n"},
                    "pipeline": [
                        {"$match": {"$expr": {"$gt": ["$price", "$$n"]}}},
                        {"$project": {"price": 1}},
                        {"$sort": {"_id": 1}},
                    ],
                    "as": "dearer",
                }
            },
            {"$match": {"_id": 1}},
        ]
    ).next()
    assert [item["_id"] for item in dear["dearer"]] == ["cap", "ink"]


def test_graphs_facets_and_buckets(database, orders):
    database["staff"].insert_many([{"_id": "a"}, {"_id": "b", "boss": "a"}, {"_id": "c", "boss": "b"}])
    [chain] = database["staff"].aggregate(
        [
            {"$match": {"_id": "c"}},
            {
                "$graphLookup": {
                    "from": "staff",
                    "startWith": "$boss",
                    "connectFromField": "boss",
                    "connectToField": "_id",
                    "depthField": "depth",
                    "as": "chain",
                }
            },
        ]
    )
    assert sorted((boss["_id"], boss["depth"]) for boss in chain["chain"]) == [("a", 1), ("b", 0)]
    [facets] = orders.aggregate(
        [
            {
                "$facet": {
                    "sizes": [{"$bucket": {"groupBy": "$n", "boundaries": [0, 3, 100]}}],
                    "top": [{"$sort": {"n": -1}}, {"$limit": 1}, {"$project": {"_id": 1}}],
                }
            }
        ]
    )
    assert facets == {"sizes": [{"_id": 0, "count": 2}, {"_id": 3, "count": 2}], "top": [{"_id": 4}]}


def test_windows(orders):
    found = orders.aggregate(
        [
            {
                "$setWindowFields": {
                    "partitionBy": "$who",
                    "sortBy": {"at": 1},
                    "output": {
                        "running": {"$sum": "$n", "window": {"documents": ["unbounded", "current"]}},
                        "rank": {"$rank": {}},
                    },
                }
            },
            {"$sort": {"_id": 1}},
            {"$project": {"running": 1, "rank": 1}},
        ]
    )
    assert [(d["running"], d["rank"]) for d in found] == [(5, 1), (1, 1), (7, 2), (9, 1)]


def test_dates_strings_and_conversions(orders):
    [found] = orders.aggregate(
        [
            {"$match": {"_id": 1}},
            {
                "$project": {
                    "_id": 0,
                    "day": {"$dateToString": {"date": "$at", "format": "%Y-%m-%d %H:%M", "timezone": "Europe/Berlin"}},
                    "month": {"$dateTrunc": {"date": "$at", "unit": "month"}},
                    "next": {"$dateAdd": {"startDate": "$at", "unit": "month", "amount": 1}},
                    "upper": {"$toUpper": "$who"},
                    "text": {"$concat": ["$who", "-", {"$toString": "$n"}]},
                    "number": {"$convert": {"input": "x", "to": "int", "onError": -1}},
                    "case": {"$switch": {"branches": [{"case": {"$gt": ["$n", 3]}, "then": "many"}], "default": "few"}},
                    "list": {"$map": {"input": {"$range": [0, 3]}, "as": "i", "in": {"$add": ["$$i", "$n"]}}},
                }
            },
        ]
    )
    assert found == {
        "day": "2024-02-01 00:30",
        "month": datetime.datetime(2024, 1, 1),
        "next": datetime.datetime(2024, 2, 29, 23, 30),
        "upper": "ANN",
        "text": "ann-5",
        "number": -1,
        "case": "many",
        "list": [5, 6, 7],
    }


def test_out_and_merge(database, orders):
    orders.aggregate([{"$group": {"_id": "$who", "n": {"$sum": "$n"}}}, {"$out": "totals"}])
    assert database["totals"].find_one({"_id": "ann"}) == {"_id": "ann", "n": 7}
    orders.aggregate(
        [
            {"$group": {"_id": "$who", "orders": {"$sum": 1}}},
            {"$merge": {"into": "totals", "whenMatched": "merge", "whenNotMatched": "discard"}},
        ]
    )
    assert database["totals"].find_one({"_id": "ann"}) == {"_id": "ann", "n": 7, "orders": 2}


def test_many_pages_and_early_ends(database):
    database["numbers"].insert_many({"_id": n} for n in range(5000))
    doubled = database["numbers"].aggregate([{"$set": {"n": {"$multiply": ["$_id", 2]}}}], batchSize=300)
    assert sum(d["n"] for d in doubled) == 5000 * 4999
    assert len(list(database["numbers"].aggregate([{"$sample": {"size": 7}}]))) == 7
    union = [{"$limit": 2}, {"$unionWith": {"coll": "numbers", "pipeline": [{"$match": {"_id": {"$lt": 3}}}]}}]
    assert len(list(database["numbers"].aggregate(union))) == 5
    assert list(database.aggregate([{"$documents": [{"a": 1}, {"a": 2}]}, {"$match": {"a": 2}}])) == [{"a": 2}]


def test_errors_name_what_is_wrong(orders):
    with pytest.raises(OperationFailure, match=r"\$foo") as caught:
        orders.aggregate([{"$foo": 1}])
    assert caught.value.code == 40324
    with pytest.raises(OperationFailure, match=r"\$bar"):
        orders.aggregate([{"$project": {"x": {"$bar": 1}}}])
    with pytest.raises(OperationFailure, match="divide by zero"):
        list(orders.aggregate([{"$project": {"x": {"$divide": [1, 0]}}}]))
