//! One sqld server: where it answers queries, its admin API, and whether it is there.

use crate::admin::Admin;
use crate::contact::Contact;
use crate::http::HttpClient;

/// A server. Its databases share its connections.
pub(crate) struct Server {
    pub(crate) http: HttpClient,
    pub(crate) admin: Admin,
    pub(crate) contact: Contact,
}
