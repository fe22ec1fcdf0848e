//! The first block of a segment.
//!
//! Layout of its first sector, little-endian; the rest of the block is zeros:
//!
//! | at | bytes | |
//! | --- | --- | --- |
//! | 0 | 8 | `NIMBUSSG` |
//! | 8 | 2 | version, 1 |
//! | 10 | 2 | length of the tenant's id |
//! | 12 | 4 | number of the segment |
//! | 16 | 4 | salt, which every frame repeats |
//! | 20 | 4 | CRC-32 of the header of the last frame before this segment |
//! | 24 | 8 | sequence of the commit that comes next |
//! | 32 | 128 | the tenant's id |
//! | 508 | 4 | CRC-32 of the sector's other bytes |

use std::path::Path;

use nimbus_io::SECTOR_BYTES;
use nimbus_namespace::{Result, StorageError};
use nimbus_types::{Sequence, TenantId};

use crate::corrupt;
use crate::frame::is_zero;

pub(crate) const MAGIC: &[u8; 8] = b"NIMBUSSG";
const VERSION: u16 = 1;
const TENANT_AT: usize = 32;
const CRC_AT: usize = SECTOR_BYTES - 4;

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Its number among the tenant's files.
    pub(crate) number: u32,
    /// What every frame of it repeats.
    pub(crate) salt: u32,
    /// The `crc` of the last frame before it; 0 when there was none.
    pub(crate) previous_crc: u32,
    /// The sequence that comes next.
    pub(crate) base_sequence: Sequence,
    /// Whose log it is.
    pub(crate) tenant: TenantId,
}

/// What stands where a header should be.
pub(crate) enum Found {
    /// The segment has not been begun.
    Nothing,
    /// The header.
    Header(SegmentHeader),
}

impl SegmentHeader {
    /// The sector.
    pub(crate) fn to_bytes(&self) -> [u8; SECTOR_BYTES] {
        let mut bytes = [0; SECTOR_BYTES];
        let id = self.tenant.as_str().as_bytes();
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&(id.len() as u16).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.number.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.salt.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.previous_crc.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.base_sequence.0.to_le_bytes());
        bytes[TENANT_AT..TENANT_AT + id.len()].copy_from_slice(id);
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the sector of the file at `path`. A sector of zeros was never written: writes begin with it,
    /// and a sector is written wholly or not at all.
    pub(crate) fn read(path: &Path, bytes: &[u8; SECTOR_BYTES]) -> Result<Found> {
        if is_zero(bytes) {
            return Ok(Found::Nothing);
        }
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if &bytes[..8] != MAGIC {
            return Err(corrupt(path, 0, "this is no segment"));
        }
        if u32_at(CRC_AT) != crc32fast::hash(&bytes[..CRC_AT]) {
            return Err(corrupt(path, 0, "the segment's header does not match its checksum"));
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(StorageError::Unavailable(format!(
                "{}: the format version is {version}; this nimbus reads version {VERSION}",
                crate::file_name(path)
            )));
        }
        let id_bytes = usize::from(u16::from_le_bytes([bytes[10], bytes[11]]));
        let tenant = bytes[TENANT_AT..CRC_AT]
            .get(..id_bytes)
            .and_then(|id| std::str::from_utf8(id).ok())
            .and_then(|id| TenantId::parse(id).ok())
            .ok_or_else(|| corrupt(path, TENANT_AT as u64, "the segment does not say whose it is"))?;
        Ok(Found::Header(Self {
            number: u32_at(12),
            salt: u32_at(16),
            previous_crc: u32_at(20),
            base_sequence: Sequence(u64::from(u32_at(24)) | u64::from(u32_at(28)) << 32),
            tenant,
        }))
    }
}
