// The Node driver: what an application does with it, on a standalone server and a replica set of one.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Decimal128, Long, MongoClient, ObjectId } from "mongodb";
import { freshName, uri } from "./support.mjs";

const client = new MongoClient(uri);
const database = client.db(freshName("node"));
let isReplicaSet;

before(async () => {
  await client.connect();
  isReplicaSet = "setName" in (await client.db("admin").command({ hello: 1 }));
});

after(async () => {
  await database.dropDatabase();
  await client.close();
});

describe("documents", () => {
  const things = database.collection("things");

  it("come back with their types", async () => {
    const sent = {
      _id: new ObjectId(),
      date: new Date("2024-02-29T12:00:00.123Z"),
      long: Long.fromString("9007199254740993"),
      decimal: Decimal128.fromString("0.10"),
      nested: { list: [1, 2.5, "three", null, [true]] },
      pattern: /^a/i,
    };
    await things.insertOne(sent);
    const found = await things.findOne({ _id: sent._id }, { promoteLongs: false });
    assert.equal(found.long.toString(), "9007199254740993");
    assert.equal(found.decimal.toString(), "0.10");
    assert.deepEqual(found.date, sent.date);
    assert.deepEqual(found.pattern, sent.pattern);
    await things.deleteMany({});
  });

  it("are written in bulk and read page by page", async () => {
    const documents = Array.from({ length: 5000 }, (_, n) => ({ _id: n, n: n % 10 }));
    assert.equal((await things.insertMany(documents)).insertedCount, 5000);
    const sums = await things.find({ n: 3 }).batchSize(100).toArray();
    assert.equal(sums.length, 500);
    const result = await things.bulkWrite([
      { updateMany: { filter: { n: 3 }, update: { $set: { three: true } } } },
      { deleteMany: { filter: { n: 4 } } },
      { updateOne: { filter: { _id: "new" }, update: { $set: { n: 1 } }, upsert: true } },
    ]);
    assert.deepEqual([result.modifiedCount, result.deletedCount, result.upsertedCount], [500, 500, 1]);
    const groups = await things
      .aggregate([{ $group: { _id: "$n", count: { $sum: 1 } } }, { $sort: { _id: 1 } }])
      .toArray();
    assert.deepEqual(groups[1], { _id: 1, count: 501 });
  });

  it("are unique where an index says so", async () => {
    const users = database.collection("users");
    await users.createIndex({ email: 1 }, { unique: true });
    await users.insertOne({ email: "a@example.org" });
    await assert.rejects(users.insertOne({ email: "a@example.org" }), (error) => {
      assert.equal(error.code, 11000);
      assert.deepEqual(error.keyPattern ?? error.errorResponse?.keyPattern, { email: 1 });
      return true;
    });
    assert.deepEqual(
      (await users.listIndexes().toArray()).map((index) => index.name),
      ["_id_", "email_1"],
    );
  });
});

describe("sessions", () => {
  it("carry transactions", async (test) => {
    if (!isReplicaSet) return test.skip("the driver wants a replica set for transactions");
    const accounts = database.collection("accounts");
    await accounts.insertMany([{ _id: "a", sum: 10 }, { _id: "b", sum: 0 }]);
    await client.withSession((session) =>
      session.withTransaction(async () => {
        await accounts.updateOne({ _id: "a" }, { $inc: { sum: -4 } }, { session });
        await accounts.updateOne({ _id: "b" }, { $inc: { sum: 4 } }, { session });
      }),
    );
    assert.equal((await accounts.findOne({ _id: "b" })).sum, 4);
    await assert.rejects(
      client.withSession((session) =>
        session.withTransaction(async () => {
          await accounts.deleteMany({}, { session });
          throw new Error("changed my mind");
        }),
      ),
      /changed my mind/,
    );
    assert.equal(await accounts.countDocuments(), 2);
  });

  it("carry change streams", async () => {
    const watched = database.collection("watched");
    await watched.insertOne({ _id: 0 });
    const stream = watched.watch([{ $match: { operationType: { $in: ["insert", "update"] } } }]);
    // The stream begins when its first command is answered.
    const first = stream.next();
    let number = 1;
    const writing = setInterval(() => watched.insertOne({ _id: number++ }).catch(() => {}), 50);
    const event = await first;
    clearInterval(writing);
    assert.equal(event.operationType, "insert");
    await watched.updateOne({ _id: event.documentKey._id }, { $set: { seen: true } });
    for (;;) {
      const next = await stream.next();
      if (next.operationType === "update") {
        assert.deepEqual(next.updateDescription.updatedFields, { seen: true });
        break;
      }
    }
    await stream.close();
  });
});
