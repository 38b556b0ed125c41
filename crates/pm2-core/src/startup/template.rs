//! Init files: templates with `{{names}}` that are filled in.

use super::init_system::InitSystem;

const SYSTEMD: &str = include_str!("templates/systemd.service");
const INIT_D: &str = include_str!("templates/init.d.sh");
const OPENRC: &str = include_str!("templates/openrc.sh");
const LAUNCHD: &str = include_str!("templates/launchd.plist");
const RCD: &str = include_str!("templates/rcd.sh");
const RCD_OPENBSD: &str = include_str!("templates/rcd-openbsd.sh");
const SMF: &str = include_str!("templates/smf.xml");

/// The template of an init system.
pub(super) fn of(init: InitSystem) -> &'static str {
    match init {
        InitSystem::Systemd => SYSTEMD,
        InitSystem::Upstart | InitSystem::Systemv => INIT_D,
        InitSystem::Openrc => OPENRC,
        InitSystem::Launchd => LAUNCHD,
        InitSystem::Rcd => RCD,
        InitSystem::RcdOpenbsd => RCD_OPENBSD,
        InitSystem::Smf => SMF,
    }
}

/// Puts the values in, in one pass: a value that looks like a name stays as it is.
pub(super) fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").expect("the templates close what they open");
        let value = values.iter().find(|(key, _)| *key == name);
        let (_, value) = value.unwrap_or_else(|| unreachable!("no value for {name}"));
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_filled_again() {
        let values = [("a", "{{b}}".to_owned()), ("b", "2".to_owned())];
        assert_eq!(fill("x {{a}}{{b}} }}", &values), "x {{b}}2 }}");
    }
}
