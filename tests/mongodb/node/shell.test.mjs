// mongosh: it connects, greets, and what a person types works.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { it } from "node:test";
import { promisify } from "node:util";
import { freshName, uriOf } from "./support.mjs";

const packageFile = createRequire(import.meta.url).resolve("mongosh/package.json");
const program = path.join(path.dirname(packageFile), "bin", "mongosh.js");

/// What mongosh prints for a script; its home is a fresh folder, so that nothing of a person's own is read.
async function shell(database, script) {
  const home = await mkdtemp(path.join(tmpdir(), "mongosh-"));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, uriOf(database), "--norc", "--quiet", "--eval", script],
    { env: { ...process.env, HOME: home, USERPROFILE: home }, timeout: 120_000 },
  );
  return stdout.trim();
}

it("runs what a person types", async () => {
  const database = freshName("shell");
  const script = `
    db.things.insertMany([{ _id: 1, n: 5 }, { _id: 2, n: 7 }]);
    db.things.createIndex({ n: 1 });
    db.things.updateOne({ _id: 1 }, { $set: { when: ISODate("2024-01-01") } });
    const out = {
      names: db.getCollectionNames(),
      sum: db.things.aggregate([{ $group: { _id: null, n: { $sum: "$n" } } }]).toArray()[0].n,
      indexes: db.things.getIndexes().map((index) => index.name),
      plan: JSON.stringify(db.things.find({ n: 5 }).explain().queryPlanner.winningPlan).includes("IXSCAN"),
      version: db.version(),
      stats: db.things.stats().count,
      databases: db.adminCommand({ listDatabases: 1 }).databases.some((other) => other.name === db.getName()),
      hosts: typeof db.hostInfo().system,
      status: db.serverStatus().ok,
    };
    db.dropDatabase();
    print(JSON.stringify(out));
  `;
  const out = JSON.parse((await shell(database, script)).split("\n").at(-1));
  assert.deepEqual(out, {
    names: ["things"],
    sum: 12,
    indexes: ["_id_", "n_1"],
    plan: true,
    version: "7.0.0",
    stats: 2,
    databases: true,
    hosts: "object",
    status: 1,
  });
});

it("shows databases and collections", async () => {
  const database = freshName("shell");
  await shell(database, "db.things.insertOne({})");
  assert.match(await shell(database, "show dbs"), new RegExp(database));
  assert.match(await shell(database, "show collections"), /things/);
  await shell(database, "db.dropDatabase()");
});
