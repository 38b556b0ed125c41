//! The load generator of the benchmarks: `pm2-rs-load ADDRESS [options]` asks an HTTP/1.1 server as fast as it
//! answers, or at a given rate, and prints one JSON object. What is measured shares the machine with it, so it
//! is one thread with one poll loop and as few system calls as possible.
//!
//! It expects answers whose body names the worker process, and counts per worker.

mod alarm;
mod arrivals;
mod client;
mod options;
mod response;
mod run;
mod schedule;
mod tally;

use std::io::Write;

use options::{Command, USAGE};

fn main() -> anyhow::Result<()> {
    let text = match options::parse(std::env::args().skip(1))? {
        Command::Help => USAGE.to_owned(),
        Command::Run(options) => serde_json::to_string(&run::run(&options)?)?,
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}
