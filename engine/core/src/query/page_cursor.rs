//! Where a page of a query ended, as an opaque text.
//!
//! Layout, before base64url without padding: `crc32 u32 · version u8 · fingerprint u64 · walk tag u8 ·
//! index id u32 · returned u64 · position`, little-endian. Promises: a cursor that was changed, cut or
//! made for another query, table or tenant is refused; a position is only ever used inside the ranges
//! of the query it came with, so a forged one reaches nothing the query could not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nimbus_types::{IndexId, TableId, TenantId};
use xxhash_rust::xxh3::xxh3_64;

use super::Query;
use super::plan::Access;
use crate::error::{EngineError, Result, invalid};

const VERSION: u8 = 1;
const HEADER_BYTES: usize = 4 + 1 + 8 + 1 + 4 + 8;

/// What the pages of a query are walked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The order of a walk; the position is the key of the last entry.
    Walk(Access),
    /// An order made by sorting; the position is sort key, then document key, of the last document.
    Sorted,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) order: Order,
    /// Documents answered by all pages so far.
    pub(crate) returned: u64,
    pub(crate) position: Vec<u8>,
}

/// What ties a cursor to its query: a hash of tenant, table, filter and order.
pub(crate) fn fingerprint(tenant: &TenantId, table: TableId, query: &Query) -> u64 {
    xxh3_64(format!("{tenant}\0{}\0{:?}\0{:?}\0{}", table.0, query.filter, query.sort, query.skip).as_bytes())
}

impl Cursor {
    pub(crate) fn encode(&self, fingerprint: u64) -> String {
        let (tag, index) = match self.order {
            Order::Walk(Access::Documents) => (0, 0),
            Order::Walk(Access::Index(IndexId(id))) => (1, id),
            Order::Sorted => (2, 0),
        };
        let mut out = vec![0; 4];
        out.push(VERSION);
        out.extend_from_slice(&fingerprint.to_le_bytes());
        out.push(tag);
        out.extend_from_slice(&u32::to_le_bytes(index));
        out.extend_from_slice(&self.returned.to_le_bytes());
        out.extend_from_slice(&self.position);
        let crc = crc32fast::hash(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        URL_SAFE_NO_PAD.encode(out)
    }

    pub(crate) fn decode(text: &str, fingerprint: u64) -> Result<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed())?;
        let (header, position) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(malformed)?;
        let crc = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if crc != crc32fast::hash(&bytes[4..]) || header[4] != VERSION {
            return Err(malformed());
        }
        let u64_at = |at: usize| bytes[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if u64_at(5) != fingerprint {
            return Err(invalid("the cursor belongs to another query"));
        }
        let index = u32::from_le_bytes([header[14], header[15], header[16], header[17]]);
        let order = match header[13] {
            0 => Order::Walk(Access::Documents),
            1 => Order::Walk(Access::Index(IndexId(index))),
            2 => Order::Sorted,
            _ => return Err(malformed()),
        };
        Ok(Self { order, returned: u64_at(18), position: position.to_vec() })
    }
}

fn malformed() -> EngineError {
    invalid("the cursor is not one this server gave out")
}

#[cfg(test)]
mod tests {
    use nimbus_types::TableName;

    use super::*;

    #[test]
    fn a_cursor_survives_its_encoding_and_fits_only_its_query() {
        let query = Query::all(TableName::parse("t").unwrap());
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let print = fingerprint(&a, TableId(1), &query);
        let order = Order::Walk(Access::Index(IndexId(7)));
        let cursor = Cursor { order, returned: 9, position: vec![0, 255] };
        let text = cursor.encode(print);
        assert_eq!(Cursor::decode(&text, print).unwrap(), cursor);
        assert!(Cursor::decode(&text, fingerprint(&b, TableId(1), &query)).is_err());
        assert!(Cursor::decode(&text[1..], print).is_err());
        assert!(Cursor::decode("", print).is_err());
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert!(Cursor::decode(&String::from_utf8(changed).unwrap(), print).is_err(), "character {at}");
        }
    }
}
