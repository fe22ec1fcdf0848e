//! How far one connection's authentication has come.

use super::scram::Exchange;

/// Failed attempts after which a connection is closed. Drivers close theirs at the first.
const FAILURES: u32 = 5;

/// See the module's text.
#[derive(Default)]
pub(crate) struct Login {
    is_complete: bool,
    failures: u32,
    conversations: i32,
    pub(super) conversation: Option<Conversation>,
}

/// A SASL conversation under way.
pub(super) struct Conversation {
    pub(super) id: i32,
    pub(super) step: Step,
    /// Whether the client wants to be done with the server's proof, without one more empty exchange.
    pub(super) skips_empty_exchange: bool,
}

/// What the client has to send next.
pub(super) enum Step {
    /// Its proof.
    Proof(Exchange),
    /// Nothing, as a sign that it believes the server's proof.
    Empty,
}

impl Login {
    /// Authentication that has succeeded.
    #[cfg(test)]
    pub(crate) fn done() -> Self {
        Self { is_complete: true, ..Self::default() }
    }

    /// Whether the client has shown that it knows the password.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether so many attempts failed that the connection is to be closed.
    pub(crate) fn is_barred(&self) -> bool {
        self.failures >= FAILURES
    }

    /// Begins a conversation in place of any other, and answers its number.
    pub(super) fn begin(&mut self, exchange: Exchange, skips_empty_exchange: bool) -> i32 {
        self.conversations = self.conversations.wrapping_add(1);
        let id = self.conversations;
        self.conversation = Some(Conversation { id, step: Step::Proof(exchange), skips_empty_exchange });
        id
    }

    pub(super) fn fail(&mut self) {
        self.failures += 1;
        self.conversation = None;
    }

    pub(super) fn complete(&mut self) {
        self.is_complete = true;
        self.failures = 0;
        self.conversation = None;
    }

    pub(super) fn forget(&mut self) {
        self.is_complete = false;
        self.conversation = None;
    }
}
