//! The fields that any command may carry: session, transaction, concerns, time limit, API version.
//!
//! Promises: each is checked here, and what it demands is either kept or refused by name. Every read of
//! this server sees the newest durable state and every write is durable before its reply, so that read
//! concerns of all levels and write concerns of one member mean the same. Deliberately unknown: which
//! transaction is open.

use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Bson, Document, Timestamp, doc};

use crate::arguments::{Arguments, type_name, whole_number};
use crate::error::{CommandError, Result, codes};

/// A logical session's id: the UUID of `lsid.id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) [u8; 16]);

impl SessionId {
    /// Reads `{ id: UUID }`; a `uid` beside it is allowed, for there is one user.
    pub(crate) fn parse(lsid: &Bson) -> Result<Self> {
        let Bson::Document(lsid) = lsid else {
            return Err(CommandError::type_mismatch(format!(
                "BSON field 'OperationSessionInfo.lsid' is the wrong type '{}', expected type 'object'",
                type_name(lsid)
            )));
        };
        if let Some(field) = lsid.keys().find(|field| !matches!(field.as_str(), "id" | "uid")) {
            return Err(CommandError::invalid_options(format!("lsid field '{field}' is not supported")));
        }
        match lsid.get("id") {
            Some(Bson::Binary(id)) if id.subtype == BinarySubtype::Uuid => {
                match id.bytes.as_slice().try_into() {
                    Ok(bytes) => Ok(Self(bytes)),
                    Err(_) => {
                        Err(CommandError::new(codes::INVALID_BSON, "uuid must be a 16-byte binary field"))
                    }
                }
            }
            _ => Err(CommandError::type_mismatch("BSON field 'lsid.id' must be a UUID")),
        }
    }

    /// `{ id: UUID }`.
    pub(crate) fn to_document(self) -> Document {
        doc! { "id": bson::Binary { subtype: BinarySubtype::Uuid, bytes: self.0.to_vec() } }
    }
}

/// `readConcern`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ReadConcern {
    /// The level, if one was named.
    pub(crate) level: Option<String>,
    /// State that a read of level `snapshot` asks for.
    pub(crate) at_cluster_time: Option<Timestamp>,
}

/// `writeConcern`: what is not satisfied by one member is told beside the result, as MongoDB does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WriteConcern {
    w: Bson,
}

impl WriteConcern {
    /// The `writeConcernError` of a reply, where more members are asked for than there are.
    pub(crate) fn error(&self) -> Option<Document> {
        let (code, name, message) = match &self.w {
            Bson::String(mode) if mode == "majority" => return None,
            Bson::String(mode) => (
                codes::UNKNOWN_REPL_WRITE_CONCERN,
                "UnknownReplWriteConcern",
                format!("No write concern mode named '{mode}' found in replica set configuration"),
            ),
            other if whole_number(other).is_some_and(|members| members > 1) => (
                codes::CANNOT_SATISFY_WRITE_CONCERN,
                "CannotSatisfyWriteConcern",
                "Not enough data-bearing nodes".to_owned(),
            ),
            _ => return None,
        };
        let info =
            doc! { "writeConcern": { "w": self.w.clone(), "wtimeout": 0, "provenance": "clientSupplied" } };
        Some(doc! { "code": code, "codeName": name, "errmsg": message, "errInfo": info })
    }
}

/// What any command may carry.
#[derive(Debug, Default)]
pub(crate) struct Generic {
    /// `lsid`.
    pub(crate) session: Option<SessionId>,
    /// `txnNumber`: of a transaction when `in_transaction`, else of a retryable write.
    pub(crate) transaction_number: Option<i64>,
    /// `autocommit: false`.
    pub(crate) in_transaction: bool,
    /// `startTransaction: true`.
    pub(crate) start_transaction: bool,
    /// `readConcern`.
    pub(crate) read_concern: Option<ReadConcern>,
    /// `writeConcern`.
    pub(crate) write_concern: Option<WriteConcern>,
    /// `apiStrict: true`: nothing but commands of the stable API.
    pub(crate) api_strict: bool,
    /// `maxTimeMS`, none where it is 0.
    pub(crate) max_time: Option<Duration>,
}

/// Names of generic fields that bind nothing here: gossip, routing, and remarks.
const WITHOUT_EFFECT: &[&str] =
    &["$db", "$clusterTime", "$readPreference", "comment", "$audit", "$client", "$configServerState"];

impl Generic {
    /// Takes the generic fields out of a command's.
    pub(crate) fn take(arguments: &mut Arguments) -> Result<Self> {
        arguments.allow(WITHOUT_EFFECT);
        let api_strict = take_api_version(arguments)?;
        let session = arguments.take("lsid").map(|lsid| SessionId::parse(&lsid)).transpose()?;
        let transaction_number = arguments.integer("txnNumber")?;
        let autocommit = arguments.boolean("autocommit")?;
        let start = arguments.boolean("startTransaction")?;
        check_transaction_fields(session, transaction_number, autocommit, start)?;
        let max_time_ms = arguments.count("maxTimeMS")?.unwrap_or(0);
        if max_time_ms > u64::from(i32::MAX.unsigned_abs()) {
            return Err(CommandError::bad_value(format!(
                "{max_time_ms} value for maxTimeMS is out of range"
            )));
        }
        Ok(Self {
            api_strict,
            session,
            transaction_number,
            in_transaction: autocommit.is_some(),
            start_transaction: start.is_some(),
            read_concern: arguments.document("readConcern")?.map(read_concern).transpose()?,
            write_concern: arguments.document("writeConcern")?.map(write_concern).transpose()?,
            max_time: (max_time_ms > 0).then(|| Duration::from_millis(max_time_ms)),
        })
    }
}

fn check_transaction_fields(
    session: Option<SessionId>,
    number: Option<i64>,
    autocommit: Option<bool>,
    start: Option<bool>,
) -> Result<()> {
    let refuse = |message: &str| Err(CommandError::invalid_options(message));
    if number.is_some() && session.is_none() {
        return refuse("Transaction number requires a session ID to also be specified");
    }
    if number.is_some_and(|number| number < 0) {
        return refuse("Transaction number cannot be negative");
    }
    if autocommit.is_some() && number.is_none() {
        return refuse("'autocommit' field requires a transaction number to also be specified");
    }
    if autocommit == Some(true) {
        return refuse("Specifying autocommit=true is not allowed.");
    }
    if start.is_some() && autocommit.is_none() {
        return refuse("'startTransaction' field requires 'autocommit' field to also be specified");
    }
    if start == Some(false) {
        return refuse("Specifying startTransaction=false is not allowed.");
    }
    Ok(())
}

/// Reads the API version, which is 1, and whether it is strict.
fn take_api_version(arguments: &mut Arguments) -> Result<bool> {
    let version = arguments.string("apiVersion")?;
    let strict = arguments.boolean("apiStrict")?;
    let deprecation_errors = arguments.boolean("apiDeprecationErrors")?;
    match version.as_deref() {
        None if strict.is_some() || deprecation_errors.is_some() => Err(CommandError::invalid_options(
            "Provided apiStrict and/or apiDeprecationErrors without passing apiVersion",
        )),
        None | Some("1") => Ok(strict == Some(true)),
        Some(_) => Err(CommandError::new(codes::API_VERSION_ERROR, "API version must be \"1\"")),
    }
}

fn read_concern(fields: Document) -> Result<ReadConcern> {
    let mut fields = Arguments::new("readConcern", fields);
    let level = fields.string("level")?;
    let after = fields.take("afterClusterTime");
    let at_cluster_time = fields.take("atClusterTime");
    fields.allow(&["provenance"]);
    fields.end()?;
    let known = ["local", "available", "majority", "linearizable", "snapshot"];
    if let Some(level) = level.as_deref().filter(|level| !known.contains(level)) {
        return Err(CommandError::bad_value(format!(
            "Enumeration value '{level}' for field 'readConcern.level' is not a valid value."
        )));
    }
    if let Some(other) = after.as_ref().filter(|after| !matches!(after, Bson::Timestamp(_))) {
        return Err(CommandError::type_mismatch(format!(
            "BSON field 'readConcern.afterClusterTime' is the wrong type '{}', expected type 'timestamp'",
            type_name(other)
        )));
    }
    let at_cluster_time = match at_cluster_time {
        None => None,
        Some(Bson::Timestamp(time)) if level.as_deref() == Some("snapshot") => Some(time),
        Some(_) => {
            return Err(CommandError::invalid_options(
                "readConcern.atClusterTime is a timestamp and goes with the level 'snapshot'",
            ));
        }
    };
    Ok(ReadConcern { level, at_cluster_time })
}

fn write_concern(fields: Document) -> Result<WriteConcern> {
    let mut fields = Arguments::new("writeConcern", fields);
    let w = fields.take("w").unwrap_or(Bson::Int32(1));
    fields.boolean("j")?;
    fields.boolean("fsync")?;
    fields.allow(&["wtimeout", "provenance"]);
    fields.end()?;
    match &w {
        Bson::String(_) => {}
        // MongoDB's limit of members in a replica set.
        number if whole_number(number).is_some_and(|members| (0..=50).contains(&members)) => {}
        number if whole_number(number).is_some() => {
            return Err(CommandError::failed_to_parse(
                "w has to be a non-negative number and not greater than 50",
            ));
        }
        _ => return Err(CommandError::failed_to_parse("w has to be a number or string")),
    }
    Ok(WriteConcern { w })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(fields: Document) -> Result<Generic> {
        Generic::take(&mut Arguments::new("find", fields))
    }

    fn session() -> Document {
        SessionId([7; 16]).to_document()
    }

    #[test]
    fn fields_of_a_transaction_go_together() {
        let taken = take(
            doc! { "lsid": session(), "txnNumber": 1_i64, "autocommit": false, "startTransaction": true },
        );
        assert!(taken.is_ok_and(|taken| taken.in_transaction && taken.start_transaction));
        for refused in [
            doc! { "txnNumber": 1_i64 },
            doc! { "lsid": session(), "autocommit": false },
            doc! { "lsid": session(), "txnNumber": 1_i64, "autocommit": true },
            doc! { "lsid": session(), "txnNumber": 1_i64, "startTransaction": true },
            doc! { "lsid": session(), "txnNumber": -1_i64 },
        ] {
            assert_eq!(take(refused.clone()).unwrap_err().code, codes::INVALID_OPTIONS, "{refused}");
        }
        assert!(take(doc! { "lsid": { "id": 1 } }).is_err());
    }

    #[test]
    fn concerns_are_kept_or_refused_by_name() {
        let unknown = take(doc! { "readConcern": { "level": "newest" } }).unwrap_err();
        assert!(unknown.message.contains("newest"), "{unknown}");
        assert!(take(doc! { "readConcern": { "foo": 1 } }).unwrap_err().message.contains("foo"));
        let asked =
            |w: Bson| take(doc! { "writeConcern": { "w": w } }).unwrap().write_concern.unwrap().error();
        assert_eq!(asked(1.into()), None);
        assert_eq!(asked("majority".into()), None);
        assert_eq!(asked(2.into()).unwrap().get_i32("code").unwrap(), 100);
        assert_eq!(asked("rack".into()).unwrap().get_i32("code").unwrap(), 79);
        assert!(take(doc! { "writeConcern": { "w": 51 } }).is_err());
    }

    #[test]
    fn only_version_one_of_the_api_is_known() {
        assert!(take(doc! { "apiVersion": "1", "apiStrict": false }).is_ok());
        assert_eq!(take(doc! { "apiVersion": "2" }).unwrap_err().code, codes::API_VERSION_ERROR);
        assert_eq!(take(doc! { "apiStrict": true }).unwrap_err().code, codes::INVALID_OPTIONS);
    }
}
