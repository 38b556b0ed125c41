//! What distinguishes the instances of an app: number, variables, file names. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// How many entries a description makes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instances {
    /// That many new instances, each with its number.
    Numbered(usize),
    /// One entry of a dump, which has its number already.
    Restored,
}

impl Instances {
    pub(super) fn count(&self) -> usize {
        match self {
            Instances::Numbered(count) => *count,
            Instances::Restored => 1,
        }
    }
}

/// More instances than this are a mistake, not a wish.
const MAX_INSTANCES: i64 = 4096;

/// Reads `instances` as the daemon of PM2 does, specification `wire.md` §6.1, with `max` as 0.
pub(super) fn instances(app: &Map<String, Value>, n_cpus: usize) -> Result<Instances, String> {
    let number = match app.get("instances") {
        None | Some(Value::Null) => return Ok(Instances::Restored),
        Some(Value::String(text)) if text == "max" => Some(0.0),
        Some(Value::String(text)) => text.trim().parse::<f64>().ok(),
        Some(value) => value.as_f64(),
    };
    let n_cpus = i64::try_from(n_cpus).unwrap_or(1);
    let count = match number.filter(|number| number.is_finite()) {
        Some(number) if number >= 1.0 => number as i64,
        Some(number) => (n_cpus + number as i64).max(1),
        None => return Err(format!("instances must be a number or \"max\", not {}", app["instances"])),
    };
    if count > MAX_INSTANCES {
        return Err(format!("{count} instances are more than the limit of {MAX_INSTANCES}"));
    }
    Ok(Instances::Numbered(usize::try_from(count).unwrap_or(1)))
}

/// What the table says about a new entry.
pub(super) struct Facts<'a> {
    pub(super) id: u32,
    pub(super) numbered: bool,
    pub(super) keep_log_paths: bool,
    /// Name of the variable that holds the instance number.
    pub(super) instance_variable: &'a str,
}

/// What entries of the same name have taken already; read once for all instances of a start.
#[derive(Default)]
pub(super) struct Siblings {
    numbers: BTreeSet<u64>,
    /// The highest value of the variable that grows with each instance.
    highest: Option<i64>,
}

impl Siblings {
    /// Takes one more entry into account.
    pub(super) fn add(
        &mut self,
        sibling: &Map<String, Value>,
        instance_variable: &str,
        increment_var: Option<&str>,
    ) {
        self.numbers.extend(sibling.get(instance_variable).and_then(Value::as_u64));
        let value = increment_var.and_then(|variable| increment_value(sibling, variable));
        self.highest = self.highest.max(value);
    }
}

/// The name of an app's instance variable: the daemon's, the app's, or the usual one.
pub(crate) fn instance_variable(app: &Map<String, Value>, of_daemon: Option<&str>) -> String {
    of_daemon
        .or_else(|| app.get("instance_var").and_then(Value::as_str))
        .unwrap_or("NODE_APP_INSTANCE")
        .to_owned()
}

/// The name of the variable that grows with each instance of an app.
pub(super) fn increment_variable(app: &Map<String, Value>) -> Option<String> {
    app.get("increment_var").and_then(Value::as_str).map(str::to_owned)
}

/// Completes a description: unique id, instance number, incremented variable, file names.
///
/// Behaviour of PM2 7.0.4, specification `lifecycle.md` §1 and §10, except that every instance has
/// its own `unique_id`.
pub(super) fn assign(app: &mut Map<String, Value>, siblings: &mut Siblings, facts: &Facts<'_>) {
    if !facts.numbered {
        drop_copied_variables(app);
    }
    app.insert("vizion_running".to_owned(), Value::Bool(false));
    if let Some(Value::Object(env)) = app.get_mut("env") {
        env.insert("unique_id".to_owned(), uuid::Uuid::new_v4().to_string().into());
    }
    if facts.numbered {
        let free = (0..).find(|number| !siblings.numbers.contains(number)).unwrap_or(0);
        siblings.numbers.insert(free);
        app.insert(facts.instance_variable.to_owned(), free.into());
        increment(app, siblings);
    }
    let merged = app.get("merge_logs").is_some_and(|merge| *merge == Value::Bool(true));
    suffix(app, "pm_pid_path", ".pid", facts.id);
    if !merged && !facts.keep_log_paths {
        for key in ["pm_out_log_path", "pm_err_log_path", "pm_log_path"] {
            suffix(app, key, ".log", facts.id);
        }
    }
}

/// A dump repeats the variables at the top level; they would pass for options.
fn drop_copied_variables(app: &mut Map<String, Value>) {
    let Some(Value::Object(env)) = app.get("env").cloned() else { return };
    app.retain(|key, value| {
        env.get(key) != Some(value)
            || value.is_object()
            || value.is_array()
            || pm2_core::app::options::find(key).is_some()
            || key.starts_with("pm_")
            || key == "NODE_APP_INSTANCE"
    });
}

fn increment_value(app: &Map<String, Value>, variable: &str) -> Option<i64> {
    match app.get("env")?.get(variable)? {
        Value::String(text) => text.trim().parse().ok(),
        value => value.as_i64(),
    }
}

fn increment(app: &mut Map<String, Value>, siblings: &mut Siblings) {
    let Some(variable) = increment_variable(app) else { return };
    let next = match siblings.highest {
        Some(highest) => highest.saturating_add(1),
        None => increment_value(app, &variable).unwrap_or(0),
    };
    siblings.highest = Some(next);
    if let Some(Value::Object(env)) = app.get_mut("env") {
        env.insert(variable, next.into());
    }
}

/// `x.log` and `x-17.log` become `x-<id>.log`; other names stay.
fn suffix(app: &mut Map<String, Value>, key: &str, extension: &str, id: u32) {
    let Some(Value::String(path)) = app.get_mut(key) else { return };
    let Some(stem) = path.strip_suffix(extension) else { return };
    let bare = stem.trim_end_matches(|digit: char| digit.is_ascii_digit());
    let stem = if bare.len() < stem.len() { bare.strip_suffix('-').unwrap_or(stem) } else { stem };
    *path = format!("{stem}-{id}{extension}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instances_are_counted_as_pm2_does() {
        let check = |value: Value, expected: Result<Instances, ()>| {
            let app = json!({"instances": value});
            assert_eq!(instances(app.as_object().unwrap(), 4).map_err(drop), expected, "{value}");
        };
        check(json!(3), Ok(Instances::Numbered(3)));
        check(json!("2"), Ok(Instances::Numbered(2)));
        check(json!(2.5), Ok(Instances::Numbered(2)));
        check(json!(0), Ok(Instances::Numbered(4)));
        check(json!("max"), Ok(Instances::Numbered(4)));
        check(json!(-1), Ok(Instances::Numbered(3)));
        check(json!(-9), Ok(Instances::Numbered(1)));
        check(json!(null), Ok(Instances::Restored));
        check(json!("many"), Err(()));
        check(json!(1e9), Err(()));
    }

    fn assigned(mut app: Value, id: u32, siblings: &[Value]) -> Value {
        let object = app.as_object_mut().unwrap();
        let variable = instance_variable(object, None);
        let increment = increment_variable(object);
        let mut known = Siblings::default();
        for sibling in siblings {
            known.add(sibling.as_object().unwrap(), &variable, increment.as_deref());
        }
        let facts = Facts { id, numbered: true, keep_log_paths: false, instance_variable: &variable };
        assign(object, &mut known, &facts);
        app
    }

    #[test]
    fn file_names_carry_the_id() {
        let check = |key: &str, path: &str, expected: &str| {
            let app = assigned(json!({key: path, "env": {}}), 7, &[]);
            assert_eq!(app[key], expected);
        };
        check("pm_out_log_path", "/l/a-out.log", "/l/a-out-7.log");
        check("pm_err_log_path", "/l/a-error-3.log", "/l/a-error-7.log");
        check("pm_out_log_path", "/l/app-2024.log", "/l/app-7.log");
        check("pm_out_log_path", "/l/app2024.log", "/l/app2024-7.log");
        check("pm_log_path", "/l/a.txt", "/l/a.txt");
        check("pm_pid_path", "/p/a.pid", "/p/a-7.pid");
        let merged = assigned(json!({"merge_logs": true, "pm_out_log_path": "/l/a.log", "env": {}}), 7, &[]);
        assert_eq!(merged["pm_out_log_path"], "/l/a.log");
    }

    #[test]
    fn numbers_fill_gaps_and_variables_grow() {
        let siblings = [
            json!({"NODE_APP_INSTANCE": 0, "env": {"PORT": 20100}}),
            json!({"NODE_APP_INSTANCE": 2, "env": {"PORT": "20101"}}),
        ];
        let app = assigned(json!({"increment_var": "PORT", "env": {"PORT": 20100}}), 5, &siblings);
        assert_eq!((&app["NODE_APP_INSTANCE"], &app["env"]["PORT"]), (&json!(1), &json!(20102)));
        let first =
            assigned(json!({"increment_var": "PORT", "instance_var": "NR", "env": {"PORT": "8000"}}), 0, &[]);
        assert_eq!((&first["NR"], &first["env"]["PORT"]), (&json!(0), &json!(8000)));
    }

    #[test]
    fn a_restored_entry_keeps_its_number_and_loses_the_copies() {
        let mut app = json!({"name": "a", "NODE_APP_INSTANCE": 3, "FOO": "1", "merge_logs": true, "env_p": {"A": 1},
            "env": {"FOO": "1", "name": "a", "env_p": {"A": 1}}});
        let facts =
            Facts { id: 1, numbered: false, keep_log_paths: true, instance_variable: "NODE_APP_INSTANCE" };
        assign(app.as_object_mut().unwrap(), &mut Siblings::default(), &facts);
        assert_eq!((&app["name"], &app["NODE_APP_INSTANCE"], app.get("FOO")), (&json!("a"), &json!(3), None));
        // Only scalars are copied.
        assert_eq!(app["env_p"], json!({"A": 1}));
    }
}
