CREATE SCHEMA {schema};
CREATE TABLE {schema}.head (
    one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    format_version integer NOT NULL,
    tenant text NOT NULL,
    sequence bigint NOT NULL,
    time_ms bigint NOT NULL,
    digest bytea NOT NULL,
    log_start bigint NOT NULL,
    fence bigint NOT NULL,
    long_keys boolean NOT NULL
) WITH (fillfactor = 20);
CREATE TABLE {schema}.commit_log (
    sequence bigint NOT NULL PRIMARY KEY,
    time_ms bigint NOT NULL,
    writer bytea NOT NULL,
    record bytea NOT NULL
);
CREATE TABLE {schema}.documents (
    key bytea NOT NULL PRIMARY KEY CHECK (octet_length(key) <= 2048),
    document bytea NOT NULL
);
CREATE TABLE {schema}.index_entries (
    key bytea NOT NULL PRIMARY KEY CHECK (octet_length(key) <= 2048),
    document_key bytea NOT NULL
);
CREATE TABLE {schema}.meta (
    key bytea NOT NULL PRIMARY KEY CHECK (octet_length(key) <= 2048),
    value bytea NOT NULL
);
CREATE TABLE {schema}.documents_long (
    key_digest bytea NOT NULL PRIMARY KEY,
    key bytea NOT NULL CHECK (octet_length(key) > 2048),
    document bytea NOT NULL
);
CREATE TABLE {schema}.index_entries_long (
    key_digest bytea NOT NULL PRIMARY KEY,
    key bytea NOT NULL CHECK (octet_length(key) > 2048),
    document_key bytea NOT NULL
);
CREATE TABLE {schema}.meta_long (
    key_digest bytea NOT NULL PRIMARY KEY,
    key bytea NOT NULL CHECK (octet_length(key) > 2048),
    value bytea NOT NULL
);
CREATE INDEX documents_long_key ON {schema}.documents_long (substr(key, 1, 1024));
CREATE INDEX index_entries_long_key ON {schema}.index_entries_long (substr(key, 1, 1024));
CREATE INDEX meta_long_key ON {schema}.meta_long (substr(key, 1, 1024));
CREATE VIEW {schema}.documents_json AS
    SELECT {metadata}.document_table(key) AS table_number,
        {metadata}.document_version(document) AS version,
        {metadata}.document_created(document) AS created,
        {metadata}.document_updated(document) AS updated,
        {metadata}.document_json(document) AS document
    FROM (SELECT key, document FROM {schema}.documents
        UNION ALL SELECT key, document FROM {schema}.documents_long) AS stored;

COMMENT ON SCHEMA {schema} IS {comment};
COMMENT ON TABLE {schema}.head IS 'One row: where the commit log stands. Every commit moves it, and is refused when it stands elsewhere.';
COMMENT ON COLUMN {schema}.head.format_version IS 'Version of these tables.';
COMMENT ON COLUMN {schema}.head.tenant IS 'The tenant''s id, exactly.';
COMMENT ON COLUMN {schema}.head.sequence IS 'Sequence of the newest commit; 0 when there is none.';
COMMENT ON COLUMN {schema}.head.time_ms IS 'Time of that commit, milliseconds since 1970.';
COMMENT ON COLUMN {schema}.head.digest IS 'Checksum over all documents, index entries and meta entries after that commit.';
COMMENT ON COLUMN {schema}.head.log_start IS 'Oldest sequence the log still keeps; sequence + 1 when it keeps none.';
COMMENT ON COLUMN {schema}.head.fence IS 'Raised when the outcome of a commit has to be found out: a commit sent before can then no longer take effect. Negative once the tenant has been removed.';
COMMENT ON COLUMN {schema}.head.long_keys IS 'Whether one of the tables of long keys has ever held a row.';
COMMENT ON TABLE {schema}.commit_log IS 'Every commit, a row each, until it is trimmed.';
COMMENT ON COLUMN {schema}.commit_log.time_ms IS 'Time of the commit, milliseconds since 1970.';
COMMENT ON COLUMN {schema}.commit_log.writer IS 'Random mark of the attempt that wrote the row.';
COMMENT ON COLUMN {schema}.commit_log.record IS 'The encoded record, with a checksum: every change to documents and meta.';
COMMENT ON TABLE {schema}.documents IS 'The live documents. See the view documents_json for a readable form.';
COMMENT ON COLUMN {schema}.documents.key IS 'Table number (4 bytes, big-endian), then the encoded _id.';
COMMENT ON COLUMN {schema}.documents.document IS 'Envelope (checksum, version, times), then BSON.';
COMMENT ON TABLE {schema}.index_entries IS 'The entries of all indexes.';
COMMENT ON COLUMN {schema}.index_entries.key IS 'Index number (4 bytes, big-endian), then the encoded fields, then the encoded _id.';
COMMENT ON COLUMN {schema}.index_entries.document_key IS 'The document''s key in documents.';
COMMENT ON TABLE {schema}.meta IS 'Table and index definitions, counters.';
COMMENT ON TABLE {schema}.documents_long IS 'Documents whose key is longer than 2048 bytes, which an index row has no room for.';
COMMENT ON TABLE {schema}.index_entries_long IS 'Index entries whose key is longer than 2048 bytes.';
COMMENT ON TABLE {schema}.meta_long IS 'Meta entries whose key is longer than 2048 bytes.';
COMMENT ON COLUMN {schema}.documents_long.key_digest IS 'SHA-256 of the key.';
COMMENT ON COLUMN {schema}.index_entries_long.key_digest IS 'SHA-256 of the key.';
COMMENT ON COLUMN {schema}.meta_long.key_digest IS 'SHA-256 of the key.';
COMMENT ON VIEW {schema}.documents_json IS 'Every document as JSON, with its table number, the sequence of the commit that last wrote it, and its times.';

INSERT INTO {schema}.head (format_version, tenant, sequence, time_ms, digest, log_start, fence, long_keys)
    VALUES ({format_version}, {tenant}, 0, 0, {digest}, 1, 0, false);
