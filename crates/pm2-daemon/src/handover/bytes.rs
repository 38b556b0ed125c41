//! Bytes in a JSON text.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that are mostly text, as a string in which every character stands for one byte (U+0000 to U+00FF).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Characters(&self.0))
    }
}

/// Writes the string piece by piece: there may be megabytes.
struct Characters<'a>(&'a [u8]);

impl fmt::Display for Characters<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.chunks(4096) {
            let text: String = chunk.iter().map(|byte| char::from(*byte)).collect();
            formatter.write_str(&text)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Bytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string of characters up to U+00FF")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
                let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
                bytes.map(Bytes).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_stays_readable() {
        let bytes = Bytes(b"{\"a\":1}\n".to_vec());
        assert_eq!(serde_json::to_string(&bytes).unwrap(), r#""{\"a\":1}\n""#);
        assert!(serde_json::from_str::<Bytes>("\"\u{100}\"").is_err());
    }

    proptest! {
        #[test]
        fn every_byte_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..10_000)) {
            let text = serde_json::to_string(&Bytes(bytes.clone())).unwrap();
            prop_assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap().0, bytes);
        }
    }
}
