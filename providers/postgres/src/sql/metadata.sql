CREATE SCHEMA IF NOT EXISTS {metadata};
CREATE TABLE {metadata}.format (
    one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);
CREATE TABLE {metadata}.tenants (
    prefix text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    state text NOT NULL,
    name text COLLATE "C" NOT NULL,
    PRIMARY KEY (prefix, tenant_id)
);
CREATE TABLE {metadata}.remnants (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    prefix text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    generation bigint NOT NULL
);
INSERT INTO {metadata}.format (version) VALUES ({format_version});

COMMENT ON SCHEMA {metadata} IS 'Nimbus: which schema is which tenant''s, and functions to look into documents.';
COMMENT ON TABLE {metadata}.format IS 'One row: the version of these tables and functions.';
COMMENT ON TABLE {metadata}.tenants IS 'One row for each tenant id that was ever used under a prefix.';
COMMENT ON COLUMN {metadata}.tenants.generation IS 'Counts the schemas that the id has had; no name is used twice.';
COMMENT ON COLUMN {metadata}.tenants.state IS 'creating, ready or dropped.';
COMMENT ON COLUMN {metadata}.tenants.name IS 'The schema of that generation.';
COMMENT ON TABLE {metadata}.remnants IS 'Schemas that an interrupted create or removal may have left; cleared at the next use.';
