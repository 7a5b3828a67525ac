//! How long a player waits for a database.

use std::time::Duration;

use super::unavailable;
use crate::catalogue::Error;

/// How long what a player waits for may take, a locked database or a silent server included; then the catalogue is away.
pub(super) const READ_DEADLINE: Duration = Duration::from_secs(2);

/// A query that a player waits for.
pub(super) trait WithinDeadline<T> {
    /// Its outcome, or that the database cannot be asked.
    async fn within_deadline(self) -> Result<T, Error>;
}

impl<T, F: Future<Output = Result<T, sqlx::Error>>> WithinDeadline<T> for F {
    async fn within_deadline(self) -> Result<T, Error> {
        match tokio::time::timeout(READ_DEADLINE, self).await {
            Ok(outcome) => outcome.map_err(unavailable),
            Err(_) => Err(Error::Unavailable(format!("no answer within {READ_DEADLINE:?}"))),
        }
    }
}
