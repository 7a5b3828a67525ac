//! Who may do what: subjects, scopes, what a caller was granted, and signed links.
//!
//! Knows no HTTP, no token format and no clock. How a caller comes to a [`Grant`] is known to `http::auth`; what a grant
//! allows is decided here alone. Start with [`Grant`] and [`LinkSecrets`].

mod grant;
mod link;
mod subject;

pub use grant::{Credential, Grant, RecordingSet, Refusal, Scope, Scopes};
pub use link::{Link, LinkError, LinkSecrets, LinkSecretsError};
pub use subject::Subject;
