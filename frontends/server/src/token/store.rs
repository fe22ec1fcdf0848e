//! The file the admin token lives in.
//!
//! Promises: whoever starts at the same time agrees on one token; the file is replaced as a whole,
//! durably; one that others can read, or that does not hold a token, is refused and left as it is.
//! Deliberately unknown: who asks for the token, and why.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nimbus_io::{Clock, Randomness};

use super::{AdminToken, TokenError, TokenFile};
use crate::private_file;

/// The place where the token is kept.
#[derive(Debug, Clone)]
pub(crate) struct TokenStore {
    path: PathBuf,
}

impl TokenStore {
    /// A store at `path`; nothing is touched yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The token file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The token, made now if there is none.
    pub(crate) fn load_or_create(
        &self,
        clock: &dyn Clock,
        randomness: &dyn Randomness,
    ) -> Result<AdminToken, TokenError> {
        let _lock = self.lock()?;
        match self.read()? {
            Some(token) => Ok(token),
            None => self.write(AdminToken {
                text: AdminToken::random(randomness),
                generation: 1,
                created_ms: clock.now_ms(),
                rotated_ms: None,
            }),
        }
    }

    /// Puts a new token in force; the first one is made, too, if there was none.
    pub(crate) fn rotate(
        &self,
        clock: &dyn Clock,
        randomness: &dyn Randomness,
    ) -> Result<AdminToken, TokenError> {
        let _lock = self.lock()?;
        let now_ms = clock.now_ms();
        let (generation, created_ms) =
            self.read()?.map_or((1, now_ms), |token| (token.generation, token.created_ms));
        self.write(AdminToken {
            text: AdminToken::random(randomness),
            generation: generation.saturating_add(1),
            created_ms,
            rotated_ms: Some(now_ms),
        })
    }

    /// The token in the file; `None` when there is no file.
    pub(super) fn read(&self) -> Result<Option<AdminToken>, TokenError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io(error)),
        };
        private_file::check_mode(&self.path, &file.metadata().map_err(|error| self.io(error))?, 0o600)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(|error| self.io(error))?;
        // The parser's own message may quote what it read, so it is not passed on.
        let parsed = serde_json::from_slice::<TokenFile>(&content)
            .map_err(|_| "it must be a JSON object with token, generation, created_at and rotated_at");
        let token = parsed.and_then(TokenFile::into_token);
        token.map(Some).map_err(|reason| TokenError::Broken { path: self.path.clone(), reason })
    }

    fn write(&self, token: AdminToken) -> Result<AdminToken, TokenError> {
        let content =
            serde_json::to_vec_pretty(&TokenFile::of(&token)).map_err(|error| self.io(error.into()))?;
        private_file::replace(&self.path, &content).map_err(|error| self.io(error))?;
        Ok(token)
    }

    /// Whoever holds this is the only one that makes or rotates the token. Dropping it releases it.
    fn lock(&self) -> Result<File, TokenError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let lock = || {
            private_file::create_directory(directory)?;
            let metadata = fs::metadata(directory)?;
            let file = private_file::open_lock(&self.path.with_extension("lock"))?;
            file.lock()?;
            Ok((file, metadata))
        };
        let (file, metadata) = lock().map_err(|error| self.io(error))?;
        private_file::check_mode(directory, &metadata, 0o700)?;
        Ok(file)
    }

    fn io(&self, error: io::Error) -> TokenError {
        TokenError::Io { path: self.path.clone(), error }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use nimbus_io::{SimulatedClock, SimulatedRandomness, SystemRandomness};

    use super::*;

    const NOW_MS: u64 = 1_767_225_600_000;

    fn store() -> (tempfile::TempDir, TokenStore) {
        let directory = tempfile::tempdir().unwrap();
        let store = TokenStore::new(directory.path().join("nimbus/auth/token"));
        (directory, store)
    }

    #[test]
    fn a_token_is_made_once_and_kept() {
        let (_directory, store) = store();
        let clock = SimulatedClock::new(NOW_MS);
        let first = store.load_or_create(&clock, &SystemRandomness).unwrap();
        let again = store.load_or_create(&clock, &SystemRandomness).unwrap();
        assert_eq!(first.reveal(), again.reveal());
        assert_eq!((first.generation(), first.rotated_ms(), first.reveal().len()), (1, None, 64));
        assert!(!format!("{first:?}").contains(first.reveal()));
        let content: serde_json::Value = serde_json::from_slice(&fs::read(store.path()).unwrap()).unwrap();
        assert_eq!(
            content,
            serde_json::json!({"token": first.reveal(), "generation": 1,
                "created_at": "2026-01-01T00:00:00.000Z", "rotated_at": null})
        );
    }

    #[test]
    fn rotation_makes_another_token_of_the_next_generation() {
        let (_directory, store) = store();
        let (clock, randomness) = (SimulatedClock::new(NOW_MS), SimulatedRandomness::new(1));
        let first = store.load_or_create(&clock, &randomness).unwrap();
        clock.advance_ms(5);
        let second = store.rotate(&clock, &randomness).unwrap();
        assert_ne!(first.reveal(), second.reveal());
        assert_eq!(
            (second.generation(), second.created_ms, second.rotated_ms()),
            (2, NOW_MS, Some(NOW_MS + 5))
        );
        assert_eq!(store.load_or_create(&clock, &randomness).unwrap().reveal(), second.reveal());
    }

    #[test]
    fn only_the_whole_token_matches() {
        let (_directory, store) = store();
        let token = store.rotate(&SimulatedClock::new(NOW_MS), &SystemRandomness).unwrap();
        assert!(token.matches(token.reveal()));
        for wrong in ["", &token.reveal()[..63], &format!("{}0", token.reveal()), &"0".repeat(64)] {
            assert!(!token.matches(wrong));
        }
    }

    #[test]
    fn starts_at_the_same_time_agree_on_one_token() {
        let (_directory, store) = store();
        let barrier = Barrier::new(8);
        let tokens: Vec<_> = std::thread::scope(|scope| {
            let start = || {
                barrier.wait();
                store.load_or_create(&SimulatedClock::new(NOW_MS), &SystemRandomness).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(tokens.iter().all(|token| token.reveal() == tokens[0].reveal()));
    }

    #[test]
    fn a_broken_file_is_refused_without_showing_it_and_left_alone() {
        let (_directory, store) = store();
        let clock = SimulatedClock::new(NOW_MS);
        let good = store.load_or_create(&clock, &SystemRandomness).unwrap();
        let good_text = String::from_utf8(fs::read(store.path()).unwrap()).unwrap();
        for broken in [
            String::new(),
            "secret".to_owned(),
            "{}".to_owned(),
            good_text[..good_text.len() / 2].to_owned(),
            good_text.replace(good.reveal(), "secret"),
            good_text.replace("null", "\"yesterday\""),
        ] {
            fs::write(store.path(), &broken).unwrap();
            let error = store.load_or_create(&clock, &SystemRandomness).unwrap_err().to_string();
            assert!(error.contains("broken") && !error.contains("secret"), "{error}");
            assert!(store.rotate(&clock, &SystemRandomness).is_err());
            assert_eq!(fs::read_to_string(store.path()).unwrap(), broken);
        }
    }

    #[cfg(unix)]
    #[test]
    fn modes_are_private_and_wider_ones_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_directory, store) = store();
        let clock = SimulatedClock::new(NOW_MS);
        store.load_or_create(&clock, &SystemRandomness).unwrap();
        let directory = store.path().parent().unwrap();
        for (path, private, wide) in [(store.path(), 0o600, 0o644), (directory, 0o700, 0o750)] {
            let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode(path), private);
            fs::set_permissions(path, fs::Permissions::from_mode(wide)).unwrap();
            let error = store.load_or_create(&clock, &SystemRandomness).unwrap_err();
            assert!(matches!(error, TokenError::TooWide(_)), "{error}");
            fs::set_permissions(path, fs::Permissions::from_mode(private)).unwrap();
        }
        store.load_or_create(&clock, &SystemRandomness).unwrap();
    }
}
