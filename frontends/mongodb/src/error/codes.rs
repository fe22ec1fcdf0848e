//! MongoDB's numbers and names of errors (`src/mongo/base/error_codes.yml` of the server).

macro_rules! codes {
    ($($constant:ident = $number:literal $name:literal;)*) => {
        $(pub(crate) const $constant: i32 = $number;)*
        /// Number and name of each that this door answers with itself.
        const OWN: &[(i32, &str)] = &[$(($number, $name)),*];
    };
}

codes! {
    INTERNAL_ERROR = 1 "InternalError";
    BAD_VALUE = 2 "BadValue";
    HOST_UNREACHABLE = 6 "HostUnreachable";
    HOST_NOT_FOUND = 7 "HostNotFound";
    FAILED_TO_PARSE = 9 "FailedToParse";
    UNAUTHORIZED = 13 "Unauthorized";
    TYPE_MISMATCH = 14 "TypeMismatch";
    OVERFLOW = 15 "Overflow";
    INVALID_LENGTH = 16 "InvalidLength";
    PROTOCOL_ERROR = 17 "ProtocolError";
    AUTHENTICATION_FAILED = 18 "AuthenticationFailed";
    ILLEGAL_OPERATION = 20 "IllegalOperation";
    INVALID_BSON = 22 "InvalidBSON";
    LOCK_TIMEOUT = 24 "LockTimeout";
    NAMESPACE_NOT_FOUND = 26 "NamespaceNotFound";
    INDEX_NOT_FOUND = 27 "IndexNotFound";
    CURSOR_NOT_FOUND = 43 "CursorNotFound";
    NAMESPACE_EXISTS = 48 "NamespaceExists";
    MAX_TIME_MS_EXPIRED = 50 "MaxTimeMSExpired";
    DOLLAR_PREFIXED_FIELD_NAME = 52 "DollarPrefixedFieldName";
    INVALID_ID_FIELD = 53 "InvalidIdField";
    COMMAND_NOT_FOUND = 59 "CommandNotFound";
    CANNOT_CREATE_INDEX = 67 "CannotCreateIndex";
    INVALID_OPTIONS = 72 "InvalidOptions";
    INVALID_NAMESPACE = 73 "InvalidNamespace";
    NO_REPLICATION_ENABLED = 76 "NoReplicationEnabled";
    UNKNOWN_REPL_WRITE_CONCERN = 79 "UnknownReplWriteConcern";
    INDEX_OPTIONS_CONFLICT = 85 "IndexOptionsConflict";
    INDEX_KEY_SPECS_CONFLICT = 86 "IndexKeySpecsConflict";
    NETWORK_TIMEOUT = 89 "NetworkTimeout";
    SHUTDOWN_IN_PROGRESS = 91 "ShutdownInProgress";
    OPERATION_FAILED = 96 "OperationFailed";
    CANNOT_SATISFY_WRITE_CONCERN = 100 "CannotSatisfyWriteConcern";
    WRITE_CONFLICT = 112 "WriteConflict";
    COMMAND_NOT_SUPPORTED = 115 "CommandNotSupported";
    CONFLICTING_OPERATION_IN_PROGRESS = 117 "ConflictingOperationInProgress";
    DOCUMENT_VALIDATION_FAILURE = 121 "DocumentValidationFailure";
    EXCEEDED_MEMORY_LIMIT = 146 "ExceededMemoryLimit";
    CLIENT_METADATA_MISSING_FIELD = 183 "ClientMetadataMissingField";
    CLIENT_METADATA_APP_NAME_TOO_LARGE = 184 "ClientMetadataAppNameTooLarge";
    CLIENT_METADATA_DOCUMENT_TOO_LARGE = 185 "ClientMetadataDocumentTooLarge";
    CLIENT_METADATA_CANNOT_BE_MUTATED = 186 "ClientMetadataCannotBeMutated";
    PRIMARY_STEPPED_DOWN = 189 "PrimarySteppedDown";
    TRANSACTION_TOO_OLD = 225 "TransactionTooOld";
    SNAPSHOT_UNAVAILABLE = 246 "SnapshotUnavailable";
    NO_SUCH_TRANSACTION = 251 "NoSuchTransaction";
    TRANSACTION_COMMITTED = 256 "TransactionCommitted";
    TRANSACTION_TOO_LARGE = 257 "TransactionTooLarge";
    INVALID_RESUME_TOKEN = 260 "InvalidResumeToken";
    TOO_MANY_LOGICAL_SESSIONS = 261 "TooManyLogicalSessions";
    EXCEEDED_TIME_LIMIT = 262 "ExceededTimeLimit";
    OPERATION_NOT_SUPPORTED_IN_TRANSACTION = 263 "OperationNotSupportedInTransaction";
    CHANGE_STREAM_FATAL_ERROR = 280 "ChangeStreamFatalError";
    CHANGE_STREAM_HISTORY_LOST = 286 "ChangeStreamHistoryLost";
    CURSOR_IN_USE = 310 "CursorInUse";
    API_STRICT_ERROR = 323 "APIStrictError";
    API_VERSION_ERROR = 322 "APIVersionError";
    MECHANISM_UNAVAILABLE = 334 "MechanismUnavailable";
    SOCKET_EXCEPTION = 9001 "SocketException";
    NOT_WRITABLE_PRIMARY = 10107 "NotWritablePrimary";
    BSON_OBJECT_TOO_LARGE = 10334 "BSONObjectTooLarge";
    DUPLICATE_KEY = 11000 "DuplicateKey";
    INTERRUPTED_AT_SHUTDOWN = 11600 "InterruptedAtShutdown";
    INTERRUPTED_DUE_TO_REPL_STATE_CHANGE = 11602 "InterruptedDueToReplStateChange";
    NOT_PRIMARY_NO_SECONDARY_OK = 13435 "NotPrimaryNoSecondaryOk";
    NOT_PRIMARY_OR_SECONDARY = 13436 "NotPrimaryOrSecondary";
}

/// Those that only the language and the engine answer with, or that fail points are asked for.
const OTHERS: &[(i32, &str)] = &[
    (4, "NoSuchKey"),
    (8, "UnknownError"),
    (28, "PathNotViable"),
    (31, "UnknownReplicaSet"),
    (34, "CannotBackfillArray"),
    (40, "ConflictingUpdateOperators"),
    (46, "LockBusy"),
    (51, "ManualInterventionRequired"),
    (54, "NotSingleValueField"),
    (56, "EmptyFieldName"),
    (57, "DottedFieldName"),
    (63, "StaleShardVersion"),
    (64, "WriteConcernFailed"),
    (65, "MultipleErrorsOccurred"),
    (66, "ImmutableField"),
    (68, "IndexAlreadyExists"),
    (111, "NotExactValueField"),
    (125, "CommandFailed"),
    (133, "FailedToSatisfyReadPreference"),
    (134, "ReadConcernMajorityNotAvailableYet"),
    (150, "StaleEpoch"),
    (151, "OperationCannotBeBatched"),
    (161, "IncompatibleCollationVersion"),
    (166, "CommandNotSupportedOnView"),
    (168, "InvalidPipelineOperator"),
    (175, "QueryPlanKilled"),
    (181, "AmbiguousIndexKeyPattern"),
    (197, "InvalidIndexSpecificationOption"),
    (206, "NoSuchSession"),
    (224, "QueryFeatureNotAllowed"),
    (234, "RetryChangeStream"),
    (237, "CursorKilled"),
    (241, "ConversionFailure"),
    (267, "PreparedTransactionInProgress"),
    (291, "NoQueryExecutionPlans"),
    (292, "QueryExceededMemoryLimitNoDiskUseAllowed"),
    (11601, "Interrupted"),
    (13388, "StaleConfig"),
    (13113, "MergeStageNoMatchingDocument"),
    (50768, "NotARetryableWriteCommand"),
];

/// MongoDB's name of a number; those that it names by their place in the source are `Location` and the number.
pub(crate) fn name(code: i32) -> String {
    let named = OWN.iter().chain(OTHERS).find(|(known, _)| *known == code);
    named.map_or_else(|| format!("Location{code}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names_and_each_stands_once() {
        assert_eq!(name(73), "InvalidNamespace");
        assert_eq!(name(40_415), "Location40415");
        let mut numbers: Vec<_> = OWN.iter().chain(OTHERS).map(|(code, _)| code).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}
