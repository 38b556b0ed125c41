//! The file server that `script: 'serve'` stands for.
//!
//! Its text is part of this program, and is put into the home to be run from there: an app outlives the package it
//! came from.

use std::fs;
use std::path::PathBuf;

use super::{AppError, CallerContext};
use crate::atomic_file;

/// What an app object says instead of a path.
pub(crate) const SCRIPT: &str = "serve";

/// JavaScript of the server.
const TEXT: &str = include_str!("../../../../lib/serve.cjs");

/// The path of the server, which is written unless it is there.
pub(super) fn path(ctx: &CallerContext) -> Result<PathBuf, AppError> {
    let path = ctx.home.dir.join(format!("serve-{}.cjs", crate::VERSION));
    if !fs::read(&path).is_ok_and(|text| text == TEXT.as_bytes()) {
        atomic_file::write(&path, TEXT.as_bytes()).map_err(AppError::FileServer)?;
    }
    Ok(path)
}
