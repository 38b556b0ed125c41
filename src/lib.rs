//! N-API binding of pm2-rs: converts in, calls the core, converts out.
//!
//! Open-ended data crosses as JSON text, so that V8 parses it once. Refusals are values; a promise rejects only
//! when a connection broke.

pub mod client;
pub mod error;
mod lifelines;
pub mod logs;

use napi::Env;
use napi_derive::{module_init, napi};
use tokio::runtime::Builder;

/// One thread is plenty for a client, and cheaper than N-API's default of one per core.
#[module_init]
fn use_one_thread() {
    let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("pm2-rs").enable_all().build();
    // Without it napi makes its own when it is first needed, and reports why it cannot.
    if let Ok(runtime) = runtime {
        napi::bindgen_prelude::create_custom_tokio_runtime(runtime);
    }
}

/// The file URL of the loaded addon; the executable `pm2-rs` lies beside it.
#[napi]
pub fn module_url(env: Env) -> napi::Result<String> {
    env.get_module_file_name()
}

/// A YAML text as JSON, or why it is none.
#[napi(object)]
pub struct Yaml {
    /// JSON text; `null` for an empty document.
    pub json: Option<String>,
    /// What is wrong, and where.
    pub error: Option<YamlMistake>,
}

/// What is wrong with a YAML text.
#[napi(object)]
pub struct YamlMistake {
    /// Text for people.
    pub message: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

/// Reads YAML with the types of its core schema, as js-yaml does.
#[napi]
pub fn parse_yaml(text: String) -> Yaml {
    match pm2_core::config::parse_yaml(&text) {
        Ok(value) => Yaml { json: Some(value.to_string()), error: None },
        Err(error) => {
            let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let (line, column) = (place(error.line), place(error.column));
            Yaml { json: None, error: Some(YamlMistake { message: error.message, line, column }) }
        }
    }
}
