//! What `PostgreSQL`'s error codes mean.
//!
//! Promises: texts hold the SQLSTATE and nothing of the server's message, which may quote values. Source:
//! the manual's appendix "`PostgreSQL` Error Codes".

use nimbus_namespace::StorageError;
use nimbus_sql::Failure;

/// The failure that `sqlstate` stands for.
pub(crate) fn classify(sqlstate: &str) -> Failure {
    let text = |what: &str| format!("{what} (SQLSTATE {sqlstate})");
    let refused = match sqlstate {
        "40003" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => {
            return Failure::Lost(text("the database ended the session"));
        }
        "40001" | "40P01" => {
            return Failure::Undone(StorageError::Transient(text("the database undid the transaction")));
        }
        "55P03" => return Failure::Undone(StorageError::Busy(text("a lock was not to be had"))),
        // A table that was removed under a running statement is an internal error to the server, which says
        // nothing of how far a statement has come.
        "XX000" => return Failure::Lost(text("the database failed inside")),
        "57014" => StorageError::Transient(text("the database gave a statement up")),
        "53300" => StorageError::Busy(text("the database takes no more connections")),
        "3F000" | "42P01" => StorageError::NotFound,
        "42P06" | "42P07" => StorageError::AlreadyExists,
        "XX001" | "XX002" => StorageError::Corruption(text("the database found its own data damaged")),
        "25006" => StorageError::Unavailable(text("the database takes no writes")),
        "42501" => StorageError::Unavailable(text("the role lacks a right")),
        "3D000" => StorageError::Unavailable(text("the database does not exist")),
        _ => match sqlstate.get(..2).unwrap_or_default() {
            "08" => return Failure::Lost(text("the connection to the database was lost")),
            "28" => StorageError::Unavailable(text("the database refuses the login")),
            "53" => StorageError::Transient(text("the database lacks disk space or memory")),
            "54" => StorageError::Refused(text("beyond a limit of the database")),
            "22" | "23" | "42" => {
                StorageError::Corruption(text("the namespace's tables are not as they were made"))
            }
            _ => StorageError::Unavailable(text("the database failed")),
        },
    };
    Failure::Refused(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_the_failures_they_stand_for() {
        for lost in ["57P01", "25P04", "08006"] {
            assert!(matches!(classify(lost), Failure::Lost(_)), "{lost}");
        }
        for undone in ["40001", "40P01", "55P03"] {
            assert!(matches!(classify(undone), Failure::Undone(_)), "{undone}");
        }
        let refused = |sqlstate| match classify(sqlstate) {
            Failure::Refused(error) => error,
            other => panic!("{sqlstate}: {other:?}"),
        };
        assert!(matches!(refused("42P01"), StorageError::NotFound));
        assert!(matches!(refused("53100"), StorageError::Transient(_)));
        assert!(matches!(refused("53300"), StorageError::Busy(_)));
        assert!(matches!(refused("28P01"), StorageError::Unavailable(_)));
        assert!(matches!(refused("23505"), StorageError::Corruption(_)));
        assert!(matches!(refused("54000"), StorageError::Refused(_)));
        assert!(matches!(refused(""), StorageError::Unavailable(_)));
    }
}
