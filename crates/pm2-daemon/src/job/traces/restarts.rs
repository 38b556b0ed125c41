//! What follows an end that nobody has asked for.

use serde_json::json;

use super::trace;
use crate::host::scripted::Script;

#[test]
fn autorestart() {
    trace("autorestart", async |stage| {
        stage.script("web", [Script::new().writes(10, "hello\n").exits(5000, 1), Script::new().exits(2000, 0), Script::new()]);
        stage.start("web", json!({})).await;
        stage.pass(10_000).await;
    });
}
