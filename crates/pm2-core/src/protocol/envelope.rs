//! The JSON object around a request or reply: its known keys, still as text.

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The values of the known keys; as in JavaScript the last of several equal keys counts.
///
/// Reading it costs no memory beyond this struct and no recursion, whatever the text.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) kind: Option<&'a RawValue>,
    pub(super) method: Option<&'a RawValue>,
    pub(super) methods: Option<&'a RawValue>,
    pub(super) args: Option<&'a RawValue>,
    pub(super) error: Option<&'a RawValue>,
    pub(super) stack: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Type,
    Method,
    Methods,
    Args,
    Error,
    Stack,
    #[serde(other)]
    Other,
}

struct EnvelopeVisitor;

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(key) = map.next_key()? {
            let field = match key {
                Key::Type => &mut envelope.kind,
                Key::Method => &mut envelope.method,
                Key::Methods => &mut envelope.methods,
                Key::Args => &mut envelope.args,
                Key::Error => &mut envelope.error,
                Key::Stack => &mut envelope.stack,
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value()?);
        }
        Ok(envelope)
    }
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor)
    }
}

/// The content of a JSON string, or the text of any other value.
pub(super) fn text_of(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}

/// Whether JavaScript would treat the JSON value as false.
pub(super) fn is_falsy(value: &RawValue) -> bool {
    match value.get() {
        "null" | "false" | "\"\"" => true,
        text if text.starts_with(['-', '0']) => text.parse() == Ok(0.0_f64),
        _ => false,
    }
}

/// A string as JSON text.
pub(super) fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serializes")
}
