//! One HTTP/1.1 response in the bytes that have arrived.

use std::borrow::Cow;

/// What the bytes are.
#[derive(Debug, PartialEq)]
pub(crate) enum Parsed<'a> {
    /// The beginning of a response.
    Incomplete,
    Complete(Response<'a>),
    /// No response, or more than one.
    Malformed,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Response<'a> {
    pub(crate) status: u16,
    pub(crate) body: Cow<'a, [u8]>,
    /// The server says that it takes another request on this connection.
    pub(crate) keeps_open: bool,
}

/// `ended`: nothing follows, the server has closed its end.
pub(crate) fn parse(bytes: &[u8], ended: bool) -> Parsed<'_> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Parsed::Incomplete;
    };
    let (Some(head), rest) = (Head::parse(&bytes[..end]), &bytes[end + 4..]) else {
        return Parsed::Malformed;
    };
    let complete = |body| {
        Parsed::Complete(Response {
            status: head.status,
            body,
            keeps_open: head.keeps_open && !head.until_end(),
        })
    };
    if head.chunked {
        return match unchunked(rest) {
            Ok(Some(body)) => complete(Cow::Owned(body)),
            Ok(None) => Parsed::Incomplete,
            Err(BadChunk) => Parsed::Malformed,
        };
    }
    match head.length {
        Some(length) if rest.len() < length => Parsed::Incomplete,
        Some(length) if rest.len() > length => Parsed::Malformed,
        None if !ended => Parsed::Incomplete,
        _ => complete(Cow::Borrowed(rest)),
    }
}

struct Head {
    status: u16,
    length: Option<usize>,
    chunked: bool,
    keeps_open: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Head> {
        let mut lines = str::from_utf8(bytes).ok()?.split("\r\n");
        let mut first = lines.next()?.splitn(3, ' ');
        let keeps_open = match first.next()? {
            "HTTP/1.1" => true,
            "HTTP/1.0" => false,
            _ => return None,
        };
        let status = first.next().filter(|digits| digits.len() == 3)?.parse().ok()?;
        // These have no body, whatever their headers say.
        let length = matches!(status, 204 | 304).then_some(0);
        let mut head = Head { status, length, chunked: false, keeps_open };
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") && head.length.is_none() {
                head.length = Some(value.parse().ok()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                head.chunked = value.eq_ignore_ascii_case("chunked");
            } else if name.eq_ignore_ascii_case("connection") {
                head.keeps_open = value.eq_ignore_ascii_case("keep-alive");
            }
        }
        Some(head)
    }

    /// The end of the connection is the end of the body.
    fn until_end(&self) -> bool {
        !self.chunked && self.length.is_none()
    }
}

struct BadChunk;

/// The body without its frames; `None` while the last frame is missing.
fn unchunked(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, BadChunk> {
    let mut body = Vec::new();
    loop {
        let Some(end) = find(bytes, b"\r\n") else { return Ok(None) };
        let size = str::from_utf8(&bytes[..end]).map_err(|_| BadChunk)?;
        let size = size.split_once(';').map_or(size, |(size, _extension)| size);
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| BadChunk)?;
        let chunk = &bytes[end + 2..];
        if size == 0 {
            return last_chunk(chunk, body);
        }
        if chunk.len() < size.saturating_add(2) {
            return Ok(None);
        }
        if &chunk[size..size + 2] != b"\r\n" {
            return Err(BadChunk);
        }
        body.extend_from_slice(&chunk[..size]);
        bytes = &chunk[size + 2..];
    }
}

/// `rest` is what follows the line of the last chunk: trailers and an empty line.
fn last_chunk(rest: &[u8], body: Vec<u8>) -> Result<Option<Vec<u8>>, BadChunk> {
    if rest == b"\r\n" {
        return Ok(Some(body));
    }
    match find(rest, b"\r\n\r\n") {
        Some(_) if rest.starts_with(b"\r\n") => Err(BadChunk),
        Some(end) if end + 4 == rest.len() => Ok(Some(body)),
        Some(_) => Err(BadChunk),
        None => Ok(None),
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(status: u16, body: &str, keeps_open: bool) -> Parsed<'_> {
        Parsed::Complete(Response { status, body: Cow::Borrowed(body.as_bytes()), keeps_open })
    }

    #[test]
    fn responses() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345", complete(200, "12345", true)),
            (
                "HTTP/1.1 200 OK\r\ncontent-length:5\r\nConnection: close\r\n\r\n12345",
                complete(200, "12345", false),
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", complete(200, "", false)),
            (
                "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
                complete(200, "", true),
            ),
            ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1\r\n\r\nx", complete(503, "x", true)),
            ("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", complete(200, "x", true)),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", complete(204, "", true)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                complete(200, "abc0123456789", true),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: x\r\n\r\n",
                complete(200, "", true),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text.as_bytes(), false), expected, "{text:?}");
            for length in 0..text.len() {
                assert_eq!(
                    parse(&text.as_bytes()[..length], false),
                    Parsed::Incomplete,
                    "{:?}",
                    &text[..length]
                );
            }
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let text = "HTTP/1.1 200 OK\r\n\r\nall of it";
        assert_eq!(parse(text.as_bytes(), false), Parsed::Incomplete);
        assert_eq!(parse(text.as_bytes(), true), complete(200, "all of it", false));
    }

    #[test]
    fn a_response_that_is_cut_off_stays_incomplete() {
        let cases = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx"];
        for text in cases {
            assert_eq!(parse(text.as_bytes(), true), Parsed::Incomplete, "{text:?}");
        }
    }

    #[test]
    fn no_response() {
        let cases = [
            "SSH-2.0-x\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ];
        for text in cases {
            assert_eq!(parse(text.as_bytes(), false), Parsed::Malformed, "{text:?}");
        }
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\xff\r\n\r\n", false), Parsed::Malformed);
    }
}
