//! `kill`: ends every app, modules included, and then the daemon.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::error::VerbError;
use super::session::{Session, for_each};
use crate::client::{CallError, ping};

/// How many apps are deleted at once.
const WIDTH: usize = 10;
/// How long the daemon may take to end once its apps are gone.
const END_LIMIT: Duration = Duration::from_secs(3);
/// Time between two looks whether the socket is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// Ends the daemon. Succeeds when nothing listens any more, or 3 s after the last app has ended.
///
/// What single steps answer does not matter, and a connection that ends on the way is the goal. Behaviour
/// of PM2 7.0.4, specification `wire.md` §6.4 and `api.md` §5.5.
///
/// # Errors
/// None today; the daemon's own refusals are ignored.
pub async fn kill(session: &Session) -> Result<(), VerbError> {
    // Whatever went wrong, the daemon has to go.
    let _ = end_apps(session).await;
    let deadline = Instant::now() + END_LIMIT;
    let connection = &session.connection;
    let _ = timeout_at(deadline, async {
        session.stop_watch("deleteAll", &json!({})).await?;
        // Without `pid`, because the daemon sends that process a SIGQUIT.
        connection.send("killMe", "[{}]")?;
        connection.closed().await;
        Ok::<(), CallError>(())
    })
    .await;
    connection.close();
    while Instant::now() < deadline && matches!(ping(&session.home).await, Ok(true)) {
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn end_apps(session: &Session) -> Result<(), VerbError> {
    // Never answered by PM2; from now on nothing is restarted.
    session.connection.send("notifyKillPM2", "[{}]")?;
    let ids: Vec<Value> = session.list().await?.into_iter().map(|process| process.pm_id).collect();
    for_each(ids, WIDTH, |id| {
        let session = session.clone();
        async move {
            session.stop_watch("deleteProcessId", &id).await?;
            match session.call("deleteProcessId", &id).await {
                Err(error @ VerbError::Call(_)) => Err(error),
                _ => Ok(()),
            }
        }
    })
    .await?;
    Ok(())
}
