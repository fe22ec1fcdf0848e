-- A stored document is an envelope of 29 bytes (crc32, version, times, sequence) and the BSON after it, all
-- integers little-endian. This reads the BSON as the text of relaxed Extended JSON (version 2), keeping the
-- order of fields; it does not check the checksum. Stored functions may not call themselves, so the levels
-- of documents and arrays that are open stand in `levels`, the innermost last. bsonspec.org/spec.html.
CREATE FUNCTION {metadata}.document_json(stored LONGBLOB) RETURNS LONGTEXT CHARACTER SET utf8mb4
DETERMINISTIC NO SQL SQL SECURITY INVOKER
COMMENT 'A stored document as relaxed Extended JSON'
BEGIN
    DECLARE json LONGTEXT CHARACTER SET utf8mb4 DEFAULT '{';
    -- d: document, a: array, s: document that is the scope of code
    DECLARE levels TEXT CHARACTER SET ascii DEFAULT 'd';
    DECLARE at BIGINT DEFAULT 34;
    DECLARE kind, size, name_end, exponent, adjusted BIGINT;
    DECLARE bits, high BIGINT UNSIGNED;
    DECLARE number DOUBLE;
    DECLARE sign, part LONGTEXT CHARACTER SET utf8mb4;
    DECLARE digits TEXT CHARACTER SET utf8mb4;
    DECLARE coefficient DECIMAL(65,0);
    DECLARE is_first BOOLEAN DEFAULT TRUE;
    IF stored IS NULL THEN
        RETURN NULL;
    END IF;
    WHILE levels <> '' DO
        SET kind = ORD(SUBSTRING(stored, at, 1));
        IF at > LENGTH(stored) THEN
            SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not a stored document';
        ELSEIF kind = 0 THEN
            SET json = CONCAT(json, CASE RIGHT(levels, 1) WHEN 'a' THEN ']' WHEN 's' THEN '}}' ELSE '}' END);
            SET levels = LEFT(levels, LENGTH(levels) - 1), at = at + 1, is_first = FALSE;
        ELSE
            IF NOT is_first THEN
                SET json = CONCAT(json, ',');
            END IF;
            SET name_end = LOCATE(x'00', stored, at + 1), is_first = FALSE;
            IF RIGHT(levels, 1) <> 'a' THEN
                SET json = CONCAT(json,
                    JSON_QUOTE(CONVERT(SUBSTRING(stored, at + 1, name_end - at - 1) USING utf8mb4)), ':');
            END IF;
            SET at = name_end + 1, size = 0;
            -- The length of what has one, and the number in what is one.
            SET bits = CONV(HEX(REVERSE(SUBSTRING(stored, at, 8))), 16, 10);
            IF kind IN (2, 3, 4, 5, 12, 13, 14, 15, 16, 17) THEN
                SET size = CONV(HEX(REVERSE(SUBSTRING(stored, at, 4))), 16, 10);
            END IF;
            IF kind = 1 THEN -- double: IEEE 754 binary64
                SET size = 8, exponent = (bits >> 52) & 2047, sign = IF(bits >> 63, '-', '');
                IF exponent = 2047 THEN
                    SET part = CONCAT('{"$numberDouble":"',
                        IF(bits & 4503599627370495, 'NaN', CONCAT(sign, 'Infinity')), '"}');
                ELSE
                    SET number = IF(exponent = 0, (bits & 4503599627370495) * POW(2e0, -1074),
                        ((bits & 4503599627370495) | 4503599627370496) * POW(2e0, exponent - 1075));
                    SET part = CONCAT(sign, number, IF(CONCAT(number) REGEXP '[.e]', '', '.0'));
                END IF;
            ELSEIF kind IN (2, 13, 14) THEN -- string, JavaScript code, symbol
                SET part = JSON_QUOTE(CONVERT(SUBSTRING(stored, at + 4, size - 1) USING utf8mb4));
                SET size = size + 4;
                IF kind = 13 THEN
                    SET part = CONCAT('{"$code":', part, '}');
                ELSEIF kind = 14 THEN
                    SET part = CONCAT('{"$symbol":', part, '}');
                END IF;
            ELSEIF kind IN (3, 4) THEN -- document, array: what is in it follows
                SET part = IF(kind = 3, '{', '['), levels = CONCAT(levels, IF(kind = 3, 'd', 'a'));
                SET size = 4, is_first = TRUE;
            ELSEIF kind = 5 THEN -- binary; subtype 2 repeats the length within
                SET part = HEX(SUBSTRING(stored, at + 4, 1));
                SET part = CONCAT('{"$binary":{"base64":"', REPLACE(TO_BASE64(
                    IF(part = '02', SUBSTRING(stored, at + 9, size - 4), SUBSTRING(stored, at + 5, size))), '\n', ''),
                    '","subType":"', LOWER(part), '"}}');
                SET size = size + 5;
            ELSEIF kind = 6 THEN
                SET part = '{"$undefined":true}';
            ELSEIF kind = 7 THEN
                SET size = 12, part = CONCAT('{"$oid":"', LOWER(HEX(SUBSTRING(stored, at, 12))), '"}');
            ELSEIF kind = 8 THEN
                SET size = 1, part = IF(SUBSTRING(stored, at, 1) = x'00', 'false', 'true');
            ELSEIF kind = 9 THEN -- date and time
                SET size = 8;
                IF bits <= 253402300799999 THEN
                    SET part = CONCAT('{"$date":"',
                        DATE_FORMAT(DATE_ADD('1970-01-01 00:00:00', INTERVAL bits DIV 1000 SECOND), '%Y-%m-%dT%H:%i:%s'),
                        IF(bits MOD 1000, CONCAT('.', LPAD(bits MOD 1000, 3, '0')), ''), 'Z"}');
                ELSE
                    SET part = CONCAT('{"$date":{"$numberLong":"', CAST(bits AS SIGNED), '"}}');
                END IF;
            ELSEIF kind = 10 THEN
                SET part = 'null';
            ELSEIF kind = 11 THEN -- regular expression: pattern, options
                SET size = LOCATE(x'00', stored, at) - at;
                SET part = CONCAT('{"$regularExpression":{"pattern":',
                    JSON_QUOTE(CONVERT(SUBSTRING(stored, at, size) USING utf8mb4)), ',"options":');
                SET at = at + size + 1;
                SET size = LOCATE(x'00', stored, at) - at;
                SET part = CONCAT(part, JSON_QUOTE(CONVERT(SUBSTRING(stored, at, size) USING utf8mb4)), '}}');
                SET size = size + 1;
            ELSEIF kind = 12 THEN -- DBPointer: collection, ObjectId
                SET part = CONCAT('{"$dbPointer":{"$ref":',
                    JSON_QUOTE(CONVERT(SUBSTRING(stored, at + 4, size - 1) USING utf8mb4)),
                    ',"$id":{"$oid":"', LOWER(HEX(SUBSTRING(stored, at + 4 + size, 12))), '"}}}');
                SET size = size + 16;
            ELSEIF kind = 15 THEN -- JavaScript code with scope: total, code, document
                SET size = CONV(HEX(REVERSE(SUBSTRING(stored, at + 4, 4))), 16, 10);
                SET part = CONCAT('{"$code":',
                    JSON_QUOTE(CONVERT(SUBSTRING(stored, at + 8, size - 1) USING utf8mb4)), ',"$scope":{');
                SET levels = CONCAT(levels, 's'), size = size + 12, is_first = TRUE;
            ELSEIF kind = 16 THEN -- int32
                SET part = IF(size < 2147483648, size, size - 4294967296), size = 4;
            ELSEIF kind = 17 THEN -- timestamp: increment, seconds
                SET part = CONCAT('{"$timestamp":{"t":', bits >> 32, ',"i":', size, '}}'), size = 8;
            ELSEIF kind = 18 THEN -- int64
                SET part = CAST(bits AS SIGNED), size = 8;
            ELSEIF kind = 19 THEN -- IEEE 754 decimal128
                SET size = 16, high = CONV(HEX(REVERSE(SUBSTRING(stored, at + 8, 8))), 16, 10);
                SET sign = IF(high >> 63, '-', ''), digits = '0', exponent = CAST((high >> 49) & 16383 AS SIGNED) - 6176;
                IF ((high >> 58) & 31) = 31 THEN
                    SET part = 'NaN';
                ELSEIF ((high >> 58) & 31) = 30 THEN
                    SET part = CONCAT(sign, 'Infinity');
                ELSE
                    IF ((high >> 61) & 3) = 3 THEN -- coefficients beyond 34 digits, which all count as zero
                        SET exponent = CAST((high >> 47) & 16383 AS SIGNED) - 6176;
                    ELSE
                        SET coefficient = CAST(high & 562949953421311 AS DECIMAL(65,0)) * 18446744073709551616 + bits;
                        SET digits = IF(coefficient < 10000000000000000000000000000000000, CONCAT(coefficient), '0');
                    END IF;
                    SET adjusted = exponent + LENGTH(digits) - 1;
                    IF exponent > 0 OR adjusted < -6 THEN
                        SET part = CONCAT(sign, LEFT(digits, 1),
                            IF(LENGTH(digits) > 1, CONCAT('.', SUBSTRING(digits, 2)), ''),
                            'E', IF(adjusted < 0, '', '+'), adjusted);
                    ELSEIF exponent = 0 THEN
                        SET part = CONCAT(sign, digits);
                    ELSE
                        SET digits = LPAD(digits, GREATEST(LENGTH(digits), 1 - exponent), '0');
                        SET part = CONCAT(sign, LEFT(digits, LENGTH(digits) + exponent), '.', RIGHT(digits, -exponent));
                    END IF;
                END IF;
                SET part = CONCAT('{"$numberDecimal":"', part, '"}');
            ELSEIF kind = 255 THEN
                SET part = '{"$minKey":1}';
            ELSEIF kind = 127 THEN
                SET part = '{"$maxKey":1}';
            ELSE
                SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not a stored document';
            END IF;
            SET json = CONCAT(json, part), at = at + size;
        END IF;
    END WHILE;
    RETURN json;
END
