//! The layers of an app's environment: what was declared for it, and what it inherited.
//!
//! `pm2_env.env` is the two laid over each other, as PM2 has it. Beside it `pm2_env.declared_env` keeps them apart: its
//! keys are the declared variables, its values what they hide of the inherited ones, `null` for nothing. PM2 knows no
//! such key and passes it on untouched. What belongs to a run (`pm_id`, `unique_id`, …) is the daemon's.

use serde_json::Value;

use super::Map;

/// The key beside `env`.
pub(super) const DECLARED_ENV: &str = "declared_env";

/// An environment taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Layers {
    pub(super) inherited: Map,
    pub(super) declared: Map,
}

impl Layers {
    /// Takes `env` apart; without `declared_env`, as PM2's clients leave it, everything counts as inherited.
    pub(super) fn read(env: &Map, declared_env: Option<&Map>) -> Self {
        let mut inherited = env.clone();
        let mut declared = Map::new();
        for (name, hidden) in declared_env.into_iter().flatten() {
            let value = match hidden {
                Value::Null => inherited.shift_remove(name),
                hidden => inherited.insert(name.clone(), hidden.clone()),
            };
            if let Some(value) = value {
                declared.insert(name.clone(), value);
            }
        }
        Self { inherited, declared }
    }

    /// The variables of the app.
    pub(super) fn env(&self) -> Map {
        let mut env = self.inherited.clone();
        env.extend(self.declared.clone());
        env
    }

    /// The value of `declared_env`.
    pub(super) fn declared_env(&self) -> Map {
        let hidden = |name: &String| self.inherited.get(name).cloned().unwrap_or_default();
        self.declared.keys().map(|name| (name.clone(), hidden(name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::testing::map;

    #[test]
    fn what_is_put_together_comes_apart() {
        let layers = Layers {
            inherited: map(json!({"PATH": "/bin", "A": "inherited"})),
            declared: map(json!({"A": 1, "B": "2"})),
        };
        let (env, declared_env) = (layers.env(), layers.declared_env());
        assert_eq!(json!(env), json!({"PATH": "/bin", "A": 1, "B": "2"}));
        assert_eq!(json!(declared_env), json!({"A": "inherited", "B": null}));
        assert_eq!(Layers::read(&env, Some(&declared_env)), layers);
    }

    #[test]
    fn an_environment_of_pm2_is_inherited() {
        let env = map(json!({"A": "1"}));
        assert_eq!(Layers::read(&env, None), Layers { inherited: env, declared: Map::new() });
    }

    #[test]
    fn what_was_declared_and_is_gone_is_gone() {
        let layers = Layers::read(&map(json!({"A": "1"})), Some(&map(json!({"B": null}))));
        assert_eq!(layers.declared, Map::new());
    }
}
