-- A stored document is an envelope of 29 bytes and the BSON after it. All integers are little-endian:
-- crc32 (4 bytes) · version of the envelope (1) · created_ms (8) · updated_ms (8) · sequence (8).
-- These functions read that layout; they do not check the checksum. Offsets count from 0.

CREATE FUNCTION {metadata}.bson_int32(bson bytea, at integer) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT get_byte(bson, at)::bigint + (get_byte(bson, at + 1)::bigint << 8)
        + (get_byte(bson, at + 2)::bigint << 16) + (get_byte(bson, at + 3)::bigint << 24)
$$;
COMMENT ON FUNCTION {metadata}.bson_int32 IS 'Four bytes as an unsigned number.';

CREATE FUNCTION {metadata}.bson_int64(bson bytea, at integer) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT {metadata}.bson_int32(bson, at) | ({metadata}.bson_int32(bson, at + 4) << 32)
$$;
COMMENT ON FUNCTION {metadata}.bson_int64 IS 'Eight bytes as a signed number.';

CREATE FUNCTION {metadata}.document_table(key bytea) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT (get_byte(key, 0)::bigint << 24) + (get_byte(key, 1)::bigint << 16)
        + (get_byte(key, 2)::bigint << 8) + get_byte(key, 3)::bigint
$$;
COMMENT ON FUNCTION {metadata}.document_table IS 'The table number that a document''s key begins with.';

CREATE FUNCTION {metadata}.document_created(document bytea) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_timestamp({metadata}.bson_int64(document, 5) / 1000.0::double precision)
$$;
CREATE FUNCTION {metadata}.document_updated(document bytea) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_timestamp({metadata}.bson_int64(document, 13) / 1000.0::double precision)
$$;
CREATE FUNCTION {metadata}.document_version(document bytea) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT {metadata}.bson_int64(document, 21)
$$;
COMMENT ON FUNCTION {metadata}.document_version IS 'Sequence of the commit that last wrote a stored document.';

-- JSON text of UTF-8 bytes. PostgreSQL's text cannot hold a NUL character, JSON's escape of it can.
CREATE FUNCTION {metadata}.bson_text(utf8 bytea) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    json text := '';
    nul integer;
BEGIN
    LOOP
        nul := position('\x00'::bytea IN utf8);
        EXIT WHEN nul = 0;
        json := json || btrim(to_json(convert_from(substr(utf8, 1, nul - 1), 'UTF8'))::text, '"') || '\u0000';
        utf8 := substr(utf8, nul + 1);
    END LOOP;
    RETURN '"' || json || substr(to_json(convert_from(utf8, 'UTF8'))::text, 2);
END
$$;

CREATE FUNCTION {metadata}.bson_double(bson bytea, at integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    bits bigint := {metadata}.bson_int64(bson, at);
    exponent integer := bits >> 52 & 2047;
    fraction bigint := bits & 4503599627370495;
    sign text := CASE WHEN bits < 0 THEN '-' ELSE '' END;
    digits text;
BEGIN
    IF exponent = 2047 THEN
        RETURN '{"$numberDouble":"' || CASE WHEN fraction <> 0 THEN 'NaN' ELSE sign || 'Infinity' END || '"}';
    ELSIF exponent = 0 THEN
        -- Subnormal numbers have no leading one; zero is one of them.
        digits := (fraction::double precision * power(2::double precision, -1074))::text;
    ELSE
        digits := ((fraction | 4503599627370496)::double precision
            * power(2::double precision, exponent - 1075))::text;
    END IF;
    RETURN sign || digits || CASE WHEN digits ~ '[.e]' THEN '' ELSE '.0' END;
END
$$;
COMMENT ON FUNCTION {metadata}.bson_double IS 'The number of an IEEE 754 double (binary64).';

CREATE FUNCTION {metadata}.bson_decimal(bson bytea, at integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    high bigint := {metadata}.bson_int64(bson, at + 8);
    sign text := CASE WHEN high < 0 THEN '-' ELSE '' END;
    exponent integer := (high >> 49 & 16383) - 6176;
    digits text := '0';
    coefficient numeric;
    adjusted integer;
BEGIN
    IF high >> 58 & 31 = 31 THEN
        RETURN 'NaN';
    ELSIF high >> 58 & 31 = 30 THEN
        RETURN sign || 'Infinity';
    ELSIF high >> 61 & 3 = 3 THEN
        -- The form for coefficients beyond 34 digits, which all count as zero.
        exponent := (high >> 47 & 16383) - 6176;
    ELSE
        coefficient := (high & 562949953421311)::numeric * 18446744073709551616
            + {metadata}.bson_int32(bson, at + 4)::numeric * 4294967296 + {metadata}.bson_int32(bson, at);
        IF coefficient < 10000000000000000000000000000000000 THEN
            digits := coefficient::text;
        END IF;
    END IF;
    adjusted := exponent + length(digits) - 1;
    IF exponent > 0 OR adjusted < -6 THEN
        RETURN sign || left(digits, 1) || CASE WHEN length(digits) > 1 THEN '.' || substr(digits, 2) ELSE '' END
            || 'E' || CASE WHEN adjusted < 0 THEN '' ELSE '+' END || adjusted;
    ELSIF exponent = 0 THEN
        RETURN sign || digits;
    END IF;
    digits := lpad(digits, greatest(length(digits), 1 - exponent), '0');
    RETURN sign || left(digits, exponent) || '.' || right(digits, -exponent);
END
$$;
COMMENT ON FUNCTION {metadata}.bson_decimal IS 'The text of an IEEE 754 decimal128, as MongoDB writes it.';

CREATE FUNCTION {metadata}.bson_date(epoch_ms bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN epoch_ms BETWEEN 0 AND 253402300799999
        THEN '{"$date":"' || to_char(timestamp 'epoch' + epoch_ms * interval '1 millisecond', 'YYYY-MM-DD"T"HH24:MI:SS')
            || CASE WHEN epoch_ms % 1000 = 0 THEN '' ELSE '.' || lpad((epoch_ms % 1000)::text, 3, '0') END || 'Z"}'
        ELSE '{"$date":{"$numberLong":"' || epoch_ms || '"}}' END
$$;

-- The name or pattern that ends at the first NUL from `at` on, which BSON calls a cstring.
CREATE FUNCTION {metadata}.bson_cstring(bson bytea, at integer) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT substr(bson, at + 1, position('\x00'::bytea IN substr(bson, at + 1)) - 1)
$$;

-- One BSON document or array as the text of relaxed Extended JSON (version 2).
CREATE FUNCTION {metadata}.bson_json(bson bytea, is_array boolean) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    parts text[] := '{}';
    at integer := 4;
    kind integer;
    size integer;
    name bytea;
    content bytea;
    options bytea;
    json text;
BEGIN
    LOOP
        kind := get_byte(bson, at);
        EXIT WHEN kind = 0;
        name := {metadata}.bson_cstring(bson, at + 1);
        at := at + 2 + octet_length(name);
        CASE kind
        WHEN 1 THEN -- double
            size := 8;
            json := {metadata}.bson_double(bson, at);
        WHEN 2, 13, 14 THEN -- string, JavaScript code, symbol
            size := 4 + {metadata}.bson_int32(bson, at);
            json := {metadata}.bson_text(substr(bson, at + 5, size - 5));
            IF kind = 13 THEN
                json := '{"$code":' || json || '}';
            ELSIF kind = 14 THEN
                json := '{"$symbol":' || json || '}';
            END IF;
        WHEN 3, 4 THEN -- document, array
            size := {metadata}.bson_int32(bson, at);
            json := {metadata}.bson_json(substr(bson, at + 1, size), kind = 4);
        WHEN 5 THEN -- binary; subtype 2 repeats the length within
            size := 5 + {metadata}.bson_int32(bson, at);
            content := substr(bson, at + 6, size - 5);
            IF get_byte(bson, at + 4) = 2 THEN
                content := substr(content, 5);
            END IF;
            json := '{"$binary":{"base64":"' || replace(encode(content, 'base64'), E'\n', '')
                || '","subType":"' || encode(substr(bson, at + 5, 1), 'hex') || '"}}';
        WHEN 6 THEN
            size := 0;
            json := '{"$undefined":true}';
        WHEN 7 THEN
            size := 12;
            json := '{"$oid":"' || encode(substr(bson, at + 1, 12), 'hex') || '"}';
        WHEN 8 THEN
            size := 1;
            json := CASE get_byte(bson, at) WHEN 0 THEN 'false' ELSE 'true' END;
        WHEN 9 THEN -- date and time
            size := 8;
            json := {metadata}.bson_date({metadata}.bson_int64(bson, at));
        WHEN 10 THEN
            size := 0;
            json := 'null';
        WHEN 11 THEN -- regular expression: pattern, options
            content := {metadata}.bson_cstring(bson, at);
            options := {metadata}.bson_cstring(bson, at + octet_length(content) + 1);
            size := octet_length(content) + octet_length(options) + 2;
            json := '{"$regularExpression":{"pattern":' || {metadata}.bson_text(content)
                || ',"options":' || {metadata}.bson_text(options) || '}}';
        WHEN 12 THEN -- DBPointer: collection, ObjectId
            size := 16 + {metadata}.bson_int32(bson, at);
            json := '{"$dbPointer":{"$ref":' || {metadata}.bson_text(substr(bson, at + 5, size - 17))
                || ',"$id":{"$oid":"' || encode(substr(bson, at + size - 11, 12), 'hex') || '"}}}';
        WHEN 15 THEN -- JavaScript code with scope: total, code, document
            size := {metadata}.bson_int32(bson, at);
            json := '{"$code":' || {metadata}.bson_text(substr(bson, at + 9, {metadata}.bson_int32(bson, at + 4)::integer - 1))
                || ',"$scope":' || {metadata}.bson_json(substr(bson, at + 9 + {metadata}.bson_int32(bson, at + 4)::integer), false) || '}';
        WHEN 16 THEN -- int32
            size := 4;
            json := ({metadata}.bson_int32(bson, at) << 32 >> 32)::text;
        WHEN 17 THEN -- timestamp: increment, seconds
            size := 8;
            json := '{"$timestamp":{"t":' || {metadata}.bson_int32(bson, at + 4)
                || ',"i":' || {metadata}.bson_int32(bson, at) || '}}';
        WHEN 18 THEN -- int64
            size := 8;
            json := {metadata}.bson_int64(bson, at)::text;
        WHEN 19 THEN
            size := 16;
            json := '{"$numberDecimal":"' || {metadata}.bson_decimal(bson, at) || '"}';
        WHEN 255 THEN
            size := 0;
            json := '{"$minKey":1}';
        WHEN 127 THEN
            size := 0;
            json := '{"$maxKey":1}';
        ELSE
            RAISE EXCEPTION 'not BSON: element type % at byte %', kind, at;
        END CASE;
        IF size < 0 THEN
            RAISE EXCEPTION 'not BSON: length % at byte %', size, at;
        END IF;
        parts := parts || CASE WHEN is_array THEN json ELSE {metadata}.bson_text(name) || ':' || json END;
        at := at + size;
    END LOOP;
    RETURN CASE WHEN is_array THEN '[' ELSE '{' END || array_to_string(parts, ',')
        || CASE WHEN is_array THEN ']' ELSE '}' END;
END
$$;

CREATE FUNCTION {metadata}.document_json(document bytea) RETURNS json
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT {metadata}.bson_json(substr(document, 30), false)::json
$$;
COMMENT ON FUNCTION {metadata}.document_json IS 'A stored document (envelope of 29 bytes, then BSON) as relaxed Extended JSON, with the order of its fields kept. Cast to jsonb to compare or index.';
