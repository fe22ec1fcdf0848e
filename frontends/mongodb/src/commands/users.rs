//! `usersInfo`: the one user there is, for tools that look it up.

use std::future::ready;

use bson::{Bson, RawDocumentBuf, doc};

use crate::call::Call;
use crate::command::{self, Command};
use crate::error::Result;

/// The family.
pub(super) const COMMANDS: &[Command] =
    &[Command::new("usersInfo", "tells of the user", |call| Box::pin(ready(users_info(call))))];

fn users_info(call: &mut Call<'_>) -> Result<RawDocumentBuf> {
    call.arguments.allow(&[
        "showCredentials",
        "showPrivileges",
        "showAuthenticationRestrictions",
        "showCustomData",
    ]);
    let filter = call.arguments.document("filter")?;
    call.arguments.end()?;
    let name = call.door.options.credential.username().to_owned();
    let is_asked_for = match &call.target {
        Bson::String(user) => *user == name,
        Bson::Document(asked) => asked.get_str("user").is_ok_and(|user| user == name),
        Bson::Array(asked) => asked.iter().any(|user| {
            let user = user.as_str().or_else(|| user.as_document()?.get_str("user").ok());
            user == Some(name.as_str())
        }),
        _ => true,
    };
    let user = doc! {
        "_id": format!("admin.{name}"),
        "user": name,
        "db": "admin",
        "roles": [{ "role": "root", "db": "admin" }],
        "mechanisms": ["SCRAM-SHA-256"],
    };
    let filter = nimbus_query::Filter::parse(&filter.unwrap_or_default(), &call.context(None, None)?)?;
    let users = if is_asked_for && filter.matches(&command::raw(&user)?)? { vec![user] } else { Vec::new() };
    command::raw(&doc! { "users": users })
}
