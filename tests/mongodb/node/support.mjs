// What the tests share: where the server is, and a database that no other test uses.
//
// NIMBUS_TEST_MONGODB_URI names the server, credentials included.
import { randomBytes } from "node:crypto";

export const uri = process.env.NIMBUS_TEST_MONGODB_URI;

export function freshName(prefix) {
  return `${prefix}_${randomBytes(6).toString("hex")}`;
}

/// The URI with a database in its path, as Mongoose and mongosh take it.
export function uriOf(database) {
  const url = new URL(uri);
  url.pathname = `/${database}`;
  if (!url.searchParams.has("authSource")) url.searchParams.set("authSource", "admin");
  return url.toString();
}
