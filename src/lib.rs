//! N-API binding of pm2-rs: converts in, calls the core, converts out.
//!
//! Open-ended data crosses as JSON text, so that V8 parses it once. Refusals are values; a promise rejects only
//! when a connection broke.

pub mod client;
pub mod error;
mod lifelines;

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
