//! How what was found is written down: one line for each part, its keys below it.
//!
//! Promises: every line of a part says where it begins and whether it is as written; no value is shown.

use std::fmt::{self, Display};
use std::io::{self, Write};

use nimbus_namespace::Space;

use crate::slot::Slot;

/// Writes lines, and counts the damaged places among them.
pub(crate) struct Printer<'a> {
    out: &'a mut dyn Write,
    keys: bool,
    damaged: u64,
}

impl<'a> Printer<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, keys: bool) -> Self {
        Self { out, keys, damaged: 0 }
    }

    /// Whether keys were asked for.
    pub(crate) fn wants_keys(&self) -> bool {
        self.keys
    }

    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A part that is as it should be, or at least no damage.
    pub(crate) fn part(&mut self, what: &str, offset: u64, text: impl Display) -> io::Result<()> {
        writeln!(self.out, "{offset:>12}  {what:<8}  {text}")
    }

    /// A part that is not as it was written.
    pub(crate) fn damage(&mut self, what: &str, offset: u64, why: impl Display) -> io::Result<()> {
        self.damaged += 1;
        writeln!(self.out, "{offset:>12}  {what:<8}  DAMAGED: {why}")
    }

    /// One key of the part before, if keys were asked for.
    pub(crate) fn key(&mut self, what: impl Display, space: &str, key: &[u8]) -> io::Result<()> {
        if !self.keys {
            return Ok(());
        }
        write!(self.out, "{:>24}{what} {space} ", "")?;
        key.iter().try_for_each(|byte| write!(self.out, "{byte:02x}"))?;
        writeln!(self.out)
    }

    /// As [`Printer::key`], for a key of all spaces, which begins with the tag of its own.
    pub(crate) fn tagged_key(&mut self, what: impl Display, tagged: &[u8]) -> io::Result<()> {
        let Some((tag, key)) = tagged.split_first() else { return self.key(what, "", tagged) };
        match Space::from_tag(*tag) {
            Some(space) => self.key(what, space.name(), key),
            None => self.key(what, "unknown", tagged),
        }
    }

    /// The last line; answers how many places are damaged.
    pub(crate) fn finish(self) -> io::Result<u64> {
        match self.damaged {
            0 => writeln!(self.out, "no damage found")?,
            count => writeln!(self.out, "damaged places: {count}")?,
        }
        self.out.flush()?;
        Ok(self.damaged)
    }
}

/// How many keys are put and removed in each space.
#[derive(Default)]
pub(crate) struct SpaceCounts([(u64, u64); 3]);

impl SpaceCounts {
    pub(crate) fn add(&mut self, space: Space, is_removed: bool) {
        let (put, removed) = &mut self.0[usize::from(space.tag())];
        *(if is_removed { removed } else { put }) += 1;
    }

    /// Counts an entry by its key of all spaces; `None` if the key is of no space.
    pub(crate) fn add_slot(&mut self, tagged: &[u8], slot: Slot<'_>) -> Option<()> {
        let space = Space::from_tag(*tagged.first()?)?;
        self.add(space, slot == Slot::Removed);
        Some(())
    }
}

impl Display for SpaceCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaces = [Space::Documents, Space::Index, Space::Meta];
        let mut separator = "";
        for (space, (put, removed)) in spaces.into_iter().zip(self.0) {
            if put + removed == 0 {
                continue;
            }
            write!(f, "{separator}{} {put} put", space.name())?;
            if removed > 0 {
                write!(f, " {removed} removed")?;
            }
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("no keys") } else { Ok(()) }
    }
}
