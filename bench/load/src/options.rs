//! The command line.

use std::net::{AddrParseError, SocketAddr};
use std::num::ParseFloatError;
use std::time::Duration;

use thiserror::Error;

/// What `--help` prints.
pub(crate) const USAGE: &str = "\
pm2-rs-load ADDRESS [options]      ADDRESS is IP:PORT

  --clients N      clients that ask at the same time; with --rate the most that may (64)
  --seconds S      for how long requests are sent (2)
  --requests N     how many are sent instead
  --keep-alive     one connection per client instead of one per request
  --think MS       pause of a client between an answer and its next request (0)
  --rate R         R requests per second on a connection each, whether or not earlier ones are answered
  --path PATH      what is asked for (/)
  --patience S     how long an answer is awaited before its connection counts as hung (5)";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    Run(Options),
}

/// One run.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) clients: usize,
    pub(crate) limit: Limit,
    pub(crate) pace: Pace,
    pub(crate) keep_alive: bool,
    pub(crate) path: String,
    pub(crate) patience: Duration,
}

/// When no further request is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Limit {
    Time(Duration),
    Requests(u64),
}

/// What makes a client ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// The answer to its last request, and a pause.
    Closed { think: Duration },
    /// The clock: so many requests per second.
    Open { rate: f64 },
}

#[derive(Debug, Error, PartialEq)]
pub(crate) enum OptionError {
    #[error("an address is needed: IP:PORT")]
    NoAddress,
    #[error("{text} is not an address: {source}")]
    Address { text: String, source: AddrParseError },
    #[error("there is no option {0}")]
    Unknown(String),
    #[error("{0} needs a value")]
    NoValue(&'static str),
    #[error("{option} {text}: {source}")]
    Number { option: &'static str, text: String, source: ParseFloatError },
    #[error("{option} {text}: {expected}")]
    Range { option: &'static str, text: String, expected: &'static str },
    #[error("--path {0}: a path begins with a slash and has no white space")]
    Path(String),
    #[error("{0} and {1} exclude each other")]
    Conflict(&'static str, &'static str),
}

/// # Errors
/// The first mistake that is found.
pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, OptionError> {
    let (mut address, mut clients, mut path, mut keep_alive) = (None, 64, "/".to_owned(), false);
    let (mut seconds, mut requests, mut think, mut rate) = (None, None, None, None);
    let mut patience = Duration::from_secs(5);
    while let Some(argument) = arguments.next() {
        let mut value = |option| arguments.next().ok_or(OptionError::NoValue(option));
        match argument.as_str() {
            "--help" => return Ok(Command::Help),
            "--clients" => clients = count("--clients", value("--clients")?)? as usize,
            "--seconds" => seconds = Some(duration("--seconds", value("--seconds")?, 1.0)?),
            "--requests" => requests = Some(count("--requests", value("--requests")?)?),
            "--keep-alive" => keep_alive = true,
            "--think" => think = Some(duration("--think", value("--think")?, 1e-3)?),
            "--rate" => rate = Some(positive("--rate", value("--rate")?)?),
            "--path" => path = checked_path(value("--path")?)?,
            "--patience" => patience = duration("--patience", value("--patience")?, 1.0)?,
            _ if argument.starts_with('-') => return Err(OptionError::Unknown(argument)),
            _ => match argument.parse() {
                Ok(parsed) => address = Some(parsed),
                Err(source) => return Err(OptionError::Address { text: argument, source }),
            },
        }
    }
    let limit = match (seconds, requests) {
        (Some(_), Some(_)) => return Err(OptionError::Conflict("--seconds", "--requests")),
        (None, Some(requests)) => Limit::Requests(requests),
        (seconds, None) => Limit::Time(seconds.unwrap_or(Duration::from_secs(2))),
    };
    let pace = match (rate, think) {
        (Some(_), Some(_)) => return Err(OptionError::Conflict("--rate", "--think")),
        (Some(_), None) if keep_alive => return Err(OptionError::Conflict("--rate", "--keep-alive")),
        (Some(rate), None) => Pace::Open { rate },
        (None, think) => Pace::Closed { think: think.unwrap_or_default() },
    };
    let address = address.ok_or(OptionError::NoAddress)?;
    Ok(Command::Run(Options { address, clients, limit, pace, keep_alive, path, patience }))
}

fn positive(option: &'static str, text: String) -> Result<f64, OptionError> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        Ok(_) => Err(OptionError::Range { option, text, expected: "a number above 0 is needed" }),
        Err(source) => Err(OptionError::Number { option, text, source }),
    }
}

fn count(option: &'static str, text: String) -> Result<u64, OptionError> {
    match text.parse() {
        Ok(0) | Err(_) => {
            Err(OptionError::Range { option, text, expected: "a whole number above 0 is needed" })
        }
        Ok(number) => Ok(number),
    }
}

/// `unit` is what the number counts, in seconds.
fn duration(option: &'static str, text: String, unit: f64) -> Result<Duration, OptionError> {
    const LONGEST: Duration = Duration::from_secs(24 * 3600);
    match Duration::try_from_secs_f64(positive(option, text.clone())? * unit) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(OptionError::Range { option, text, expected: "at most a day" }),
    }
}

fn checked_path(path: String) -> Result<String, OptionError> {
    let fits = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { Ok(path) } else { Err(OptionError::Path(path)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, OptionError> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn run(line: &str) -> Options {
        match parsed(line) {
            Ok(Command::Run(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn an_address_is_enough() {
        let expected = Options {
            address: "127.0.0.1:80".parse().unwrap(),
            clients: 64,
            limit: Limit::Time(Duration::from_secs(2)),
            pace: Pace::Closed { think: Duration::ZERO },
            keep_alive: false,
            path: "/".to_owned(),
            patience: Duration::from_secs(5),
        };
        assert_eq!(run("127.0.0.1:80"), expected);
    }

    #[test]
    fn every_option_is_read() {
        let closed =
            run("--clients 8 --requests 100 --keep-alive --think 1.5 --path /x?y --patience 0.5 [::1]:8080");
        let expected = Options {
            address: "[::1]:8080".parse().unwrap(),
            clients: 8,
            limit: Limit::Requests(100),
            pace: Pace::Closed { think: Duration::from_micros(1500) },
            keep_alive: true,
            path: "/x?y".to_owned(),
            patience: Duration::from_millis(500),
        };
        assert_eq!(closed, expected);

        let open = run("127.0.0.1:80 --rate 250 --seconds 0.5");
        assert_eq!(open.pace, Pace::Open { rate: 250.0 });
        assert_eq!(open.limit, Limit::Time(Duration::from_millis(500)));

        assert_eq!(parsed("127.0.0.1:80 --help"), Ok(Command::Help));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("", "an address is needed: IP:PORT"),
            ("localhost", "localhost is not an address: invalid socket address syntax"),
            ("127.0.0.1:80 --fast", "there is no option --fast"),
            ("127.0.0.1:80 --clients", "--clients needs a value"),
            ("127.0.0.1:80 --clients 0", "--clients 0: a whole number above 0 is needed"),
            ("127.0.0.1:80 --clients 1.5", "--clients 1.5: a whole number above 0 is needed"),
            ("127.0.0.1:80 --seconds long", "--seconds long: invalid float literal"),
            ("127.0.0.1:80 --seconds 0", "--seconds 0: a number above 0 is needed"),
            ("127.0.0.1:80 --seconds 1e300", "--seconds 1e300: at most a day"),
            ("127.0.0.1:80 --rate NaN", "--rate NaN: a number above 0 is needed"),
            ("127.0.0.1:80 --path x", "--path x: a path begins with a slash and has no white space"),
            ("127.0.0.1:80 --seconds 1 --requests 1", "--seconds and --requests exclude each other"),
            ("127.0.0.1:80 --rate 1 --think 1", "--rate and --think exclude each other"),
            ("127.0.0.1:80 --rate 1 --keep-alive", "--rate and --keep-alive exclude each other"),
        ];
        for (line, expected) in cases {
            assert_eq!(parsed(line).map_err(|error| error.to_string()), Err(expected.to_owned()), "{line}");
        }
        assert!(matches!(
            parse(["--path".to_owned(), "/a b".to_owned()].into_iter()),
            Err(OptionError::Path(_))
        ));
    }
}
