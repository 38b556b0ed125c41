//! Lines out of chunks.

use crate::handover::{Bytes, LinesState};

/// The longest line an app may send.
const MAX_LINE: usize = 64 * 1024 * 1024;

/// Puts lines together across reads.
#[derive(Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    /// An over-long line is dropped up to its end, so that its neighbours survive.
    skipping: bool,
}

impl Lines {
    /// The line that has not ended, as data.
    pub(crate) fn freeze(self) -> LinesState {
        LinesState { pending: Bytes(self.pending), skipping: self.skipping }
    }

    pub(crate) fn thaw(state: LinesState) -> Lines {
        Lines { pending: state.pending.0, skipping: state.skipping }
    }

    /// Takes a chunk and gives every line that it completes, without its end.
    pub(crate) fn feed(&mut self, chunk: &[u8], mut complete: impl FnMut(Vec<u8>)) {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.pending);
            if !std::mem::take(&mut self.skipping) {
                complete(line);
            }
        }
        if self.pending.len() + rest.len() > MAX_LINE {
            self.skipping = true;
            self.pending = Vec::new();
        } else if !self.skipping {
            self.pending.extend_from_slice(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_can_be_interrupted() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        lines.feed("1\nzwö".as_bytes(), |line| got.push(line));
        let mut lines = Lines::thaw(lines.freeze());
        lines.feed("lf\n".as_bytes(), |line| got.push(line));
        assert_eq!(got, [b"1".to_vec(), "zwölf".as_bytes().to_vec()]);
    }

    #[test]
    fn an_endless_line_costs_only_itself() {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        lines.feed(b"1\n", |line| got.push(line));
        let chunk = vec![b'x'; 1024 * 1024];
        for _ in 0..=65 {
            lines.feed(&chunk, |line| got.push(line));
        }
        assert!(lines.pending.is_empty());
        lines.feed(b"end\n2\n3", |line| got.push(line));
        lines.feed(b"\n", |line| got.push(line));
        assert_eq!(got, [b"1".to_vec(), b"2".to_vec(), b"3".to_vec()]);
    }
}
