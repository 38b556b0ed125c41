//! How many processes, and in which mode.

/// Fork or cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Fork,
    Cluster,
}

impl Mode {
    /// The text the daemon knows the mode by.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fork => "fork_mode",
            Self::Cluster => "cluster_mode",
        }
    }
}

/// The mode of an app that names none: cluster if a number of instances was given, even 1, and a
/// Node-like interpreter runs it. Specification `options.md` §4.3.
pub(crate) fn default_mode(instances: Option<f64>, interpreter: &str) -> Mode {
    let program = interpreter.rsplit('/').next().unwrap_or(interpreter);
    if instances.is_some() && (program.ends_with("node") || program.ends_with("bun")) {
        Mode::Cluster
    } else {
        Mode::Fork
    }
}

/// The number of processes: 0 means one per CPU, a negative number that many fewer, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "float casts saturate, and the values are small"
)]
pub(crate) fn count(instances: Option<f64>, cpus: usize) -> u64 {
    let count = match instances {
        None => 1.0,
        Some(count) if count > 0.0 => count,
        Some(fewer) => cpus as f64 + fewer,
    };
    (count as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        let check = |instances: Option<f64>, expected: u64| {
            assert_eq!(count(instances, 4), expected, "{instances:?}");
        };
        check(None, 1);
        check(Some(1.0), 1);
        check(Some(3.0), 3);
        check(Some(2.5), 2);
        check(Some(0.5), 1);
        check(Some(0.0), 4);
        check(Some(-1.0), 3);
        check(Some(-5.0), 1);
        check(Some(f64::NEG_INFINITY), 1);
    }

    #[test]
    fn modes() {
        let check = |instances: Option<f64>, interpreter: &str, expected: Mode| {
            assert_eq!(default_mode(instances, interpreter), expected, "{instances:?} {interpreter}");
        };
        check(None, "node", Mode::Fork);
        check(Some(1.0), "node", Mode::Cluster);
        check(Some(0.0), "/usr/bin/node", Mode::Cluster);
        check(Some(-1.0), "bun", Mode::Cluster);
        check(Some(-5.0), "node", Mode::Cluster);
        check(Some(2.0), "ts-node", Mode::Cluster);
        check(Some(2.0), "python", Mode::Fork);
        check(Some(2.0), "/opt/node/bin/deno", Mode::Fork);
    }
}
