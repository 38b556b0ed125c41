//! The short form of a process that `stop`, `restart`, `reload` and `delete` answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::VerbError;
use super::session::Json;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    pm2_env: Option<Fields<'a>>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    pm_id: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    restart_time: Option<&'a RawValue>,
    #[serde(borrow)]
    env: Option<&'a RawValue>,
}

/// `{name, namespace, pm_id, status, restart_time, pm2_env: {the same, env}}`, from a process the daemon answered.
///
/// `None` when it answered none: for an app without a process PM2 says so inside a success. Texts are copied,
/// not read; what is absent stays absent. Behaviour of PM2 7.0.4, specification `process-object.md` §1.
///
/// # Errors
/// The answer is not an object.
pub(super) fn compact(answer: &RawValue) -> Result<Option<Json>, VerbError> {
    let answer: Answer<'_> = serde_json::from_str(answer.get())?;
    let Some(fields) = answer.pm2_env else {
        return Ok(None);
    };
    let mut own = String::new();
    let named = [
        ("name", fields.name),
        ("namespace", fields.namespace),
        ("pm_id", fields.pm_id),
        ("status", fields.status),
        ("restart_time", fields.restart_time),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            own.push_str(&format!("\"{name}\":{},", value.get()));
        }
    }
    let env = fields.env.map_or("{}", RawValue::get);
    let text = format!("{{{own}\"pm2_env\":{{{own}\"env\":{env}}}}}");
    Ok(Some(RawValue::from_string(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_documented_fields() {
        let check = |answer: &str, expected: Option<&str>| {
            let answer = RawValue::from_string(answer.to_owned()).unwrap();
            let compact = compact(&answer).unwrap();
            assert_eq!(compact.as_deref().map(RawValue::get), expected);
        };
        check(
            r#"{"pid":1,"pm2_env":{"env":{"A":"1"},"pm_id":3,"name":"a","namespace":"default","status":"online","restart_time":2,"x":[1]}}"#,
            Some(concat!(
                r#"{"name":"a","namespace":"default","pm_id":3,"status":"online","restart_time":2,"#,
                r#""pm2_env":{"name":"a","namespace":"default","pm_id":3,"status":"online","restart_time":2,"env":{"A":"1"}}}"#
            )),
        );
        check(
            r#"{"pm2_env":{"pm_id":"_old_1"}}"#,
            Some(r#"{"pm_id":"_old_1","pm2_env":{"pm_id":"_old_1","env":{}}}"#),
        );
        check(r#"{"error":true,"message":"could not kill process w/o pid"}"#, None);
    }
}
