//! The stable error codes every door speaks.
//!
//! Promises: a code, once published, keeps its meaning. Deliberately unknown: HTTP statuses, MongoDB
//! code numbers and exit codes; each front door maps [`ErrorKind`] to its own in one place.

/// How bad an error is, for the person who reads the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The caller can mend it.
    Error,
    /// An operator should look.
    Critical,
    /// Data or process integrity is in doubt.
    Fatal,
}

/// What went wrong, as a caller can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No or wrong credentials.
    Unauthorized,
    /// Credentials are right, the request is not allowed (origin, policy).
    Forbidden,
    /// No tenant of that name.
    TenantNotFound,
    /// No table of that name.
    TableNotFound,
    /// No document with that id.
    DocumentNotFound,
    /// The thing to be made exists: a tenant, an id, a unique key, an index.
    AlreadyExists,
    /// Another write came first, or a precondition (`if_version`, `If-Match`) does not hold.
    Conflict,
    /// The request cannot be understood or breaks a limit.
    InvalidInput,
    /// The document breaks the table's schema.
    SchemaValidation,
    /// The body is over the limit.
    PayloadTooLarge,
    /// A budget is used up; come back later.
    ResourceExhausted,
    /// No such route.
    RouteNotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// No common subprotocol or wrong protocol state.
    Protocol,
    /// The storage is held by another process or is momentarily locked.
    StorageBusy,
    /// The storage failed in a way that a retry may mend.
    StorageTransient,
    /// Contact with the storage was lost in the middle of a commit, and it could not be asked what came of
    /// it: the write may have been applied.
    CommitOutcomeUnknown,
    /// The storage cannot be reached, or the server is stopping.
    StorageUnavailable,
    /// A read or write failed (disk full, I/O error).
    StorageIo,
    /// Stored bytes are not what was written.
    StorageCorruption,
    /// A bug of ours.
    Internal,
}

impl ErrorKind {
    /// Every kind, so that documentation and tests can be exhaustive.
    pub const ALL: [Self; 21] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::TenantNotFound,
        Self::TableNotFound,
        Self::DocumentNotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::InvalidInput,
        Self::SchemaValidation,
        Self::PayloadTooLarge,
        Self::ResourceExhausted,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::Protocol,
        Self::StorageBusy,
        Self::StorageTransient,
        Self::CommitOutcomeUnknown,
        Self::StorageUnavailable,
        Self::StorageIo,
        Self::StorageCorruption,
        Self::Internal,
    ];

    /// The code clients match on, e.g. `op.conflict`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unauthorized => "auth.unauthorized",
            Self::Forbidden => "auth.forbidden",
            Self::TenantNotFound => "session.tenant_not_found",
            Self::TableNotFound => "op.table_not_found",
            Self::DocumentNotFound => "op.document_not_found",
            Self::AlreadyExists => "op.already_exists",
            Self::Conflict => "op.conflict",
            Self::InvalidInput => "op.invalid_input",
            Self::SchemaValidation => "op.schema_validation",
            Self::PayloadTooLarge => "op.payload_too_large",
            Self::ResourceExhausted => "rate.resource_exhausted",
            Self::RouteNotFound => "service.route_not_found",
            Self::MethodNotAllowed => "service.method_not_allowed",
            Self::Protocol => "protocol.invalid",
            Self::StorageBusy => "service.storage_busy",
            Self::StorageTransient => "service.storage_transient",
            Self::CommitOutcomeUnknown => "service.storage_outcome_unknown",
            Self::StorageUnavailable => "service.unavailable",
            Self::StorageIo => "service.storage_io",
            Self::StorageCorruption => "service.storage_corruption",
            Self::Internal => "service.internal",
        }
    }

    /// Whether the same request may succeed when sent again.
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::Conflict
                | Self::ResourceExhausted
                | Self::StorageBusy
                | Self::StorageTransient
                | Self::StorageUnavailable
        )
    }

    /// How loudly to report it.
    pub const fn severity(self) -> Severity {
        match self {
            Self::StorageCorruption => Severity::Fatal,
            Self::CommitOutcomeUnknown | Self::StorageIo | Self::StorageUnavailable | Self::Internal => {
                Severity::Critical
            }
            _ => Severity::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_of_known_families() {
        let mut codes: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        let families = ["auth.", "op.", "session.", "rate.", "protocol.", "service."];
        assert!(codes.iter().all(|code| families.iter().any(|family| code.starts_with(family))));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }
}
