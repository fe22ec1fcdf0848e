//! What a client says of itself (driver specifications, `mongodb-handshake/handshake.md`).

use bson::Document;
use bson::raw::RawDocument;

use crate::connection::ConnectionState;
use crate::error::{CommandError, Result, codes};

/// Longest description.
const CLIENT_BYTES: usize = 512;
/// Longest name of an application.
const APPLICATION_BYTES: usize = 128;

/// Checks the description and keeps it for the life of the connection.
pub(super) fn keep(connection: &mut ConnectionState, client: &RawDocument) -> Result<()> {
    if connection.client.is_some() {
        let message = "The client metadata document may only be sent in the first hello";
        return Err(CommandError::new(codes::CLIENT_METADATA_CANNOT_BE_MUTATED, message));
    }
    if client.as_bytes().len() > CLIENT_BYTES {
        let message =
            format!("The client metadata document must be less than or equal to {CLIENT_BYTES} bytes");
        return Err(CommandError::new(codes::CLIENT_METADATA_DOCUMENT_TOO_LARGE, message));
    }
    for (section, field) in [("driver", "name"), ("driver", "version"), ("os", "type")] {
        if client.get_document(section).and_then(|section| section.get_str(field)).is_err() {
            let message =
                format!("Missing required field '{section}.{field}' in the client metadata document");
            return Err(CommandError::new(codes::CLIENT_METADATA_MISSING_FIELD, message));
        }
    }
    let application = client.get_document("application").and_then(|section| section.get_str("name"));
    if application.is_ok_and(|name| name.len() > APPLICATION_BYTES) {
        let message = format!("The application's name must be at most {APPLICATION_BYTES} bytes long");
        return Err(CommandError::new(codes::CLIENT_METADATA_APP_NAME_TOO_LARGE, message));
    }
    // It was checked to be well-formed when the message was read.
    connection.client = Document::try_from(client).ok();
    Ok(())
}
