//! What the providers that speak SQL through sqlx share.
