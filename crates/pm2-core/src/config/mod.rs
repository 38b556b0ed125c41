//! Configuration files: which texts name one, what is in them, and the apps that are described there.
//!
//! Behaviour of PM2 7.0.4, specification `options.md` §5.

mod evaluate;
mod file;
mod shape;
mod yaml;

pub use file::{ConfigFileError, Evaluated, Format, format_of, load};
pub use shape::{Config, ShapeError, read};
pub use yaml::{YamlError, parse as parse_yaml};
