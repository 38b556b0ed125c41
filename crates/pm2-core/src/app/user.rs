//! The user and group an application runs as.

use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User};
use serde_json::Value;

use super::{AppError, CallerContext, Map};

/// Numbers for the kernel, and the user's home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) home: PathBuf,
}

/// Looks up `uid` and `gid`, names or numbers; `None` when the app names neither.
///
/// Behaviour of PM2 7.0.4, specification `options.md` §4.7, except that `root` works.
pub(crate) fn resolve(app: &Map, ctx: &CallerContext) -> Result<Option<RunAs>, AppError> {
    let (uid, gid) = (app.get("uid"), app.get("gid"));
    if uid.is_none() && gid.is_none() {
        return Ok(None);
    }
    check_rights(ctx)?;
    // A group alone is refused with the text PM2 has for it.
    let written = uid.map_or_else(|| "undefined".to_owned(), shown);
    let user = match number(&written) {
        Some(id) => User::from_uid(Uid::from_raw(id)),
        None => User::from_name(&written),
    };
    let user = user.ok().flatten().ok_or(AppError::UnknownUser(written))?;
    let gid = match gid {
        Some(gid) => group(&shown(gid))?,
        None => user.gid.as_raw(),
    };
    Ok(Some(RunAs { uid: user.uid.as_raw(), gid, home: user.dir }))
}

/// A group given beside a configuration file, which PM2 takes without a user.
pub(crate) fn resolve_group(app: &mut Map, ctx: &CallerContext) -> Result<Option<RunAs>, AppError> {
    check_rights(ctx)?;
    if let Some(gid) = app.get_mut("gid") {
        *gid = group(&shown(gid))?.into();
    }
    Ok(None)
}

fn check_rights(ctx: &CallerContext) -> Result<(), AppError> {
    match ctx.is_root || ctx.variable("NODE_ENV") == Some("test") {
        true => Ok(()),
        false => Err(AppError::NotRoot),
    }
}

fn group(written: &str) -> Result<u32, AppError> {
    let group = match number(written) {
        Some(id) => Group::from_gid(Gid::from_raw(id)),
        None => Group::from_name(written),
    };
    match group {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        _ => Err(AppError::UnknownGroup(written.to_owned())),
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn number(written: &str) -> Option<u32> {
    written.parse().ok()
}
