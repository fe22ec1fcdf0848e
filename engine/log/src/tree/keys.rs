//! Sorted keys of one node, packed, with something small beside each.
//!
//! Promises: copying costs three memory copies, however many keys there are; a search compares integers
//! and goes to the bytes of one key, seldom of more. Deliberately unknown: what stands beside the keys.

/// Keys in ascending byte order, none twice, each with a `T`. Together the keys are shorter than 4 GiB.
pub(super) struct Keys<T> {
    /// The keys one behind the other, in the order of their arrival.
    bytes: Vec<u8>,
    /// See [`head`]; of each key behind the common prefix, in the order of the keys. They are on their own
    /// because a search passes over all of them: a scan of neighbours waits once for memory where a binary
    /// search waits at each step.
    heads: Vec<u32>,
    /// In the order of the keys.
    entries: Vec<Entry<T>>,
    /// What all keys begin with; being the beginning of each, it is the beginning of `bytes`.
    prefix_bytes: usize,
}

/// Where a key lies, and what stands beside it.
#[derive(Clone, Copy)]
struct Entry<T> {
    offset: u32,
    length: u32,
    beside: T,
}

/// The first four bytes as an integer, so that the order of integers is that of the bytes. Bytes with
/// equal heads may still differ: behind the fourth, or in trailing zeros when they are fewer.
fn head(bytes: &[u8]) -> u32 {
    if let Some(first) = bytes.first_chunk() {
        return u32::from_be_bytes(*first);
    }
    let mut padded = [0; 4];
    padded[..bytes.len()].copy_from_slice(bytes);
    u32::from_be_bytes(padded)
}

/// How many bytes both begin with.
pub(super) fn common_prefix_bytes(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(left, right)| left == right).count()
}

/// A copy with the same room to grow, for it is made in order to be changed.
pub(super) fn copy_with_room<T: Copy>(original: &Vec<T>) -> Vec<T> {
    let mut copy = Vec::with_capacity(original.capacity());
    copy.extend_from_slice(original);
    copy
}

impl<T> Default for Keys<T> {
    fn default() -> Self {
        Self { bytes: Vec::new(), heads: Vec::new(), entries: Vec::new(), prefix_bytes: 0 }
    }
}

impl<T: Copy> Clone for Keys<T> {
    fn clone(&self) -> Self {
        Self {
            bytes: copy_with_room(&self.bytes),
            heads: copy_with_room(&self.heads),
            entries: copy_with_room(&self.entries),
            prefix_bytes: self.prefix_bytes,
        }
    }
}

impl<T: Copy> Keys<T> {
    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all keys together.
    pub(super) fn key_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes allocated, beyond the structure itself.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.heads.capacity() * size_of::<u32>()
            + self.entries.capacity() * size_of::<Entry<T>>()
    }

    /// The key at an index below [`Keys::len`].
    pub(super) fn key(&self, at: usize) -> &[u8] {
        let Entry { offset, length, .. } = self.entries[at];
        &self.bytes[offset as usize..][..length as usize]
    }

    /// What stands beside the key at an index below [`Keys::len`].
    pub(super) fn beside(&self, at: usize) -> T {
        self.entries[at].beside
    }

    /// Replaces what stands beside the key at an index below [`Keys::len`].
    pub(super) fn set_beside(&mut self, at: usize, beside: T) {
        self.entries[at].beside = beside;
    }

    /// The index of `key`, or as an error the index it would be inserted at.
    pub(super) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let prefix = &self.bytes[..self.prefix_bytes];
        let Some(tail) = key.strip_prefix(prefix) else {
            return Err(if key < prefix { 0 } else { self.len() });
        };
        let head = head(tail);
        let below: u32 = self.heads.iter().map(|other| u32::from(*other < head)).sum();
        let below = below as usize;
        let equal = self.heads[below..].iter().take_while(|other| **other == head).count();
        self.entries[below..below + equal]
            .binary_search_by(|entry| {
                self.bytes[entry.offset as usize..][self.prefix_bytes..entry.length as usize].cmp(tail)
            })
            .map(|at| below + at)
            .map_err(|at| below + at)
    }

    /// Inserts a key where [`Keys::search`] said.
    pub(super) fn insert(&mut self, at: usize, key: &[u8], beside: T) {
        if self.entries.is_empty() {
            self.prefix_bytes = key.len();
        } else {
            let shared = common_prefix_bytes(&self.bytes[..self.prefix_bytes], key);
            self.set_prefix_bytes(shared);
        }
        let entry = Entry { offset: self.bytes.len() as u32, length: key.len() as u32, beside };
        self.bytes.extend_from_slice(key);
        self.heads.insert(at, head(&key[self.prefix_bytes..]));
        self.entries.insert(at, entry);
    }

    /// Takes the keys from index `at` on; both parts are left without unused room.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let right = self.packed(at, self.len());
        *self = self.packed(0, at);
        right
    }

    /// The keys from one index up to another, with the longest prefix they share.
    fn packed(&self, from: usize, to: usize) -> Self {
        let entries = &self.entries[from..to];
        let key_bytes = entries.iter().map(|entry| entry.length as usize).sum();
        let mut packed = Self {
            bytes: Vec::with_capacity(key_bytes),
            heads: self.heads[from..to].to_vec(),
            entries: Vec::with_capacity(entries.len()),
            prefix_bytes: self.prefix_bytes,
        };
        for (at, entry) in (from..to).zip(entries) {
            packed.entries.push(Entry { offset: packed.bytes.len() as u32, ..*entry });
            packed.bytes.extend_from_slice(self.key(at));
        }
        let shared = if from < to { common_prefix_bytes(self.key(from), self.key(to - 1)) } else { 0 };
        packed.set_prefix_bytes(shared);
        packed
    }

    fn set_prefix_bytes(&mut self, prefix_bytes: usize) {
        if prefix_bytes == self.prefix_bytes {
            return;
        }
        self.prefix_bytes = prefix_bytes;
        for (into, entry) in self.heads.iter_mut().zip(&self.entries) {
            *into = head(&self.bytes[entry.offset as usize..][prefix_bytes..entry.length as usize]);
        }
    }
}
