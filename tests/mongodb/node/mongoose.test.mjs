// A small shop on Mongoose: models, validation, population, a transaction, a change stream.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import mongoose from "mongoose";
import { freshName, uriOf } from "./support.mjs";

const { Schema } = mongoose;
const authorSchema = new Schema({ name: { type: String, required: true, trim: true }, born: Number });
const bookSchema = new Schema(
  {
    title: { type: String, required: true },
    isbn: { type: String, unique: true },
    author: { type: Schema.Types.ObjectId, ref: "Author" },
    stock: { type: Number, min: 0, default: 0 },
    tags: [String],
    reviews: [{ stars: { type: Number, min: 1, max: 5 }, text: String }],
  },
  { timestamps: true },
);
bookSchema.index({ title: 1, stock: -1 });

const Author = mongoose.model("Author", authorSchema);
const Book = mongoose.model("Book", bookSchema);
let isReplicaSet;

before(async () => {
  await mongoose.connect(uriOf(freshName("shop")));
  isReplicaSet = "setName" in (await mongoose.connection.db.admin().command({ hello: 1 }));
  await Promise.all([Author.init(), Book.init()]);
});

after(async () => {
  await mongoose.connection.dropDatabase();
  await mongoose.disconnect();
});

describe("a shop", () => {
  it("validates what is saved", async () => {
    await assert.rejects(new Book({ isbn: "0" }).save(), /title.*required/);
    const author = await Author.create({ name: "  Ursula  ", born: 1929 });
    assert.equal(author.name, "Ursula");
    await Book.create({ title: "The Lathe", isbn: "1", author, stock: 3, tags: ["sf"] });
    await assert.rejects(Book.create({ title: "Copy", isbn: "1" }), (error) => error.code === 11000);
    await assert.rejects(Book.updateOne({ isbn: "1" }, { stock: -1 }, { runValidators: true }), /stock/);
  });

  it("populates, queries and edits arrays", async () => {
    const book = await Book.findOne({ tags: "sf" }).populate("author");
    assert.equal(book.author.name, "Ursula");
    book.reviews.push({ stars: 5, text: "good" }, { stars: 2 });
    book.tags.addToSet("classic");
    await book.save();
    await Book.updateOne({ _id: book._id, "reviews.stars": 2 }, { $set: { "reviews.$.text": "meh" } });
    const [rated] = await Book.aggregate([
      { $unwind: "$reviews" },
      { $group: { _id: "$title", mean: { $avg: "$reviews.stars" }, texts: { $push: "$reviews.text" } } },
    ]);
    assert.deepEqual(rated, { _id: "The Lathe", mean: 3.5, texts: ["good", "meh"] });
    assert.equal(await Book.countDocuments({ title: /^the/i, stock: { $gte: 1 } }), 1);
    assert.ok((await Book.findById(book._id).lean()).updatedAt > book.createdAt);
    // Two copies of one document: the later save of an array that changed in between is refused.
    const [mine, yours] = await Promise.all([Book.findById(book._id), Book.findById(book._id)]);
    mine.reviews.pull(mine.reviews[0]);
    await mine.save();
    yours.reviews[0].stars = 1;
    yours.set("reviews", [yours.reviews[1]]);
    await assert.rejects(yours.save(), mongoose.Error.VersionError);
  });

  it("sells in a transaction", async (test) => {
    if (!isReplicaSet) return test.skip("the driver wants a replica set for transactions");
    const Sale = mongoose.model("Sale", new Schema({ isbn: String, count: Number }));
    await Sale.createCollection();
    const sell = (count) =>
      mongoose.connection.transaction(async (session) => {
        await Sale.create([{ isbn: "1", count }], { session });
        const book = await Book.findOneAndUpdate(
          { isbn: "1", stock: { $gte: count } },
          { $inc: { stock: -count } },
          { session, returnDocument: "after" },
        );
        if (!book) throw new Error("sold out");
        return book.stock;
      });
    await sell(2);
    await assert.rejects(sell(2), /sold out/);
    assert.equal(await Sale.countDocuments(), 1);
    assert.equal((await Book.findOne({ isbn: "1" })).stock, 1);
  });

  it("watches a model", async () => {
    const stream = Author.watch();
    const seen = new Promise((resolve, reject) => stream.on("change", resolve).on("error", reject));
    const writing = setInterval(() => Author.create({ name: "Octavia" }).catch(() => {}), 100);
    const event = await seen;
    clearInterval(writing);
    assert.equal(event.fullDocument.name, "Octavia");
    await stream.close();
  });
});
