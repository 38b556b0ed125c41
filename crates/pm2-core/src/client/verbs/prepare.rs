//! New processes: the daemon's `prepare`.

use serde_json::Value;

use super::error::VerbError;
use super::session::{Json, Session};
use crate::app::Map;

/// Starts a resolved app and gives what the daemon answers for each instance.
///
/// # Errors
/// The daemon refused it or could not run it; a lost connection.
pub(super) async fn prepare(session: &Session, app: &Map) -> Result<Vec<Json>, VerbError> {
    let answer = session.call("prepare", &Value::Object(app.clone())).await?;
    Ok(match answer.get().starts_with('[') {
        true => serde_json::from_str(answer.get())?,
        false => vec![answer],
    })
}
